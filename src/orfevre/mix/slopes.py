"""How strongly each loss moves at a larger scale for what it moves at a smaller one, from two to eight runs there.

A few runs can hardly tell one loss's slope; all losses together tell a common one and how far the losses' own lie from
it. Shapes: n runs, J losses, G points of a grid, H pairs of common slope and spread (and noise).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import norm

from orfevre.mix import gp
from orfevre.mix.gp import Array

GRID = np.linspace(np.log(0.02), np.log(8.0), 161)
"""Log slopes."""

CENTRES = np.linspace(-2.4, 1.2, 21)
"""Log of the slope that losses have in common; CENTRE_SPREAD is its prior around 0."""
CENTRE_SPREAD = 0.5

SPREADS = np.geomspace(0.04, 0.8, 6)
"""Spread of the losses' log slopes around the common one; SPREAD is its middle beforehand, within a factor of 2."""
SPREAD = 0.25

NOISES = np.geomspace(0.2, 8.0, 9)
"""Errors of larger runs around the line, as multiples of the smaller scale's doubt times the slope; 1 beforehand."""
NOISE_SPREAD = 0.7

LIKENESS = 6.0
"""Degrees of freedom with which a loss's own noise is held to that of all."""


@dataclass(frozen=True)
class Slopes:
    """Posterior, log-normal."""

    log_mean: Array
    """[J]."""
    log_covariance: Array
    """[J, J]: losses share the doubt about the common slope."""
    noise: Array
    """Deviation of a run around the line, in units of the doubt given, [J]."""
    freedom: float
    """Degrees of freedom of `noise`."""

    @property
    def mean(self) -> Array:
        """[J]."""
        return np.exp(self.log_mean + 0.5 * np.diag(self.log_covariance))

    @property
    def covariance(self) -> Array:
        """[J, J]."""
        return np.asarray(np.outer(self.mean, self.mean) * np.expm1(self.log_covariance))

    def intervals(self, confidence: float) -> Array:
        """Low and high ends, [J, 2]."""
        reach = float(norm.ppf(0.5 + confidence / 2)) * np.sqrt(np.diag(self.log_covariance))
        return np.asarray(np.exp(np.stack([self.log_mean - reach, self.log_mean + reach], axis=1)))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """[count, J]."""
        root = gp.root(self.log_covariance)
        return np.asarray(np.exp(self.log_mean + rng.standard_normal((count, len(root))) @ root.T))


def fit(told: Array, measured: Array, doubt: Array) -> Slopes:
    """Slopes of `measured` against `told`, all [n, J]; `doubt` [n, J] is how unsure `told` is of each run.

    Each loss's offset is free; its log slope is normal around the common one; its noise is `doubt` times a factor that
    has a scaled inverse chi-squared prior around the common factor. All is summed over grids, nothing is plugged in.
    """
    num_runs = len(told)
    missed = _squares(told, measured, doubt)
    centres, spreads, noises = (part.reshape(-1) for part in np.meshgrid(CENTRES, SPREADS, NOISES, indexing="ij"))
    prior = -0.5 * ((centres / CENTRE_SPREAD) ** 2 + (np.log(spreads / SPREAD) / np.log(2.0)) ** 2)
    prior -= 0.5 * (np.log(noises) / NOISE_SPREAD) ** 2
    lines = norm.logpdf(GRID, CENTRES[:, None, None], SPREADS[:, None])  # [centres, spreads, G]
    lines -= logsumexp(lines, axis=2, keepdims=True)
    likely = _likely(missed, num_runs)  # [noises, J, G]
    joint = lines[:, :, None, None, :] + likely  # [centres, spreads, noises, J, G]
    evidence = logsumexp(joint, axis=-1)
    share = np.exp(joint - evidence[..., None]).reshape(-1, *missed.shape)
    total = prior + evidence.reshape(-1, len(missed)).sum(axis=1)
    weight = np.exp(total - logsumexp(total))  # [H]
    means, squares = share @ GRID, share @ GRID**2  # [H, J]
    log_mean = weight @ means
    covariance = (means - log_mean).T @ ((means - log_mean) * weight[:, None])
    covariance[np.diag_indices(len(log_mean))] += weight @ (squares - means**2) + (GRID[1] - GRID[0]) ** 2 / 12
    pooled = (LIKENESS * noises[:, None] ** 2 + np.sum(share * missed, axis=2)) / (LIKENESS + num_runs - 1)
    return Slopes(log_mean, covariance, np.sqrt(weight @ pooled), LIKENESS + num_runs - 1)


def _squares(told: Array, measured: Array, doubt: Array) -> Array:
    """Weighted squares that a line of each slope of the grid leaves, [J, G]; the offset is the best one."""
    trust = doubt**-2.0
    x, y = (part - np.sum(trust * part, axis=0) / np.sum(trust, axis=0) for part in (told, measured))
    xx, xy, yy = (np.sum(trust * part, axis=0)[:, None] for part in (x * x, x * y, y * y))
    slope = np.exp(GRID)
    return np.asarray(np.maximum(yy - 2 * slope * xy + slope**2 * xx, 0.0))


def _likely(missed: Array, num_runs: int) -> Array:
    """Log likelihood of every loss at every slope, its noise summed out, [noises, J, G]."""
    before = LIKENESS * NOISES[:, None, None] ** 2
    after = 0.5 * (LIKENESS + num_runs - 1)
    return np.asarray(
        0.5 * LIKENESS * np.log(before) - after * np.log(before + missed) + gammaln(after) - gammaln(0.5 * LIKENESS)
    )
