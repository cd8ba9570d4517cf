"""From many small runs to a larger scale: what the smaller scale tells, bent by a few runs of the larger.

Each loss at the larger scale is `offset + slope (told - centre)`, told being what the scale below says of the mixture.
Amplitudes change with scale, and each loss's by another factor: the weights of a target act on the small scale as
target x slope, so the best mixture moves. A run's error around the line is the doubt of the scale below times a factor.
Slopes and factors come from all losses together (slopes.py). Shapes: n runs, m mixtures, S sources, J losses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from orfevre.mix import gp, slopes
from orfevre.mix.design import farthest_first
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.optimum import spread_out
from orfevre.mix.predictor import Predictor
from orfevre.mix.surrogate import same_mixture

FEWEST = 2
"""Runs below which a slope cannot be told at all."""

POOL = 768
"""Random mixtures among which those to run at a larger scale are chosen; the third with the least told target loss is
kept."""


@dataclass(frozen=True)
class Rung:
    """A larger scale as told by the one below: a Predictor (predictor.py), every method pure."""

    below: Predictor
    target: Array
    """Weight of each loss in the target loss, [J]."""
    centre: Array
    """What the scale below says of this one's runs, on average, [J]; runs it is sure of count more."""
    offset: Array
    """What they measured, on the same average, [J]."""
    offset_spread: Array
    """Deviation of `offset`, [J]."""
    slopes: slopes.Slopes
    count: int
    """Runs of this scale."""

    @property
    def correlation(self) -> Array:
        """[J, J]."""
        return self.below.correlation

    def aimed(self, target: Array) -> "Rung":
        """The same fit, other weights [J] of the losses."""
        return replace(self, target=target)

    def losses(self, weights: Array) -> Array:
        """Expected losses of mixtures [m, S] -> [m, J]."""
        return np.asarray(self.offset + self.slopes.mean * self._steps(weights))

    def loss_gradients(self, weights: Array) -> Array:
        """At one mixture [S] -> [J, S]."""
        return np.asarray(self.slopes.mean[:, None] * self.below.loss_gradients(weights))

    def loss_deviations(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of each loss at mixtures [m, S] -> [m, J]; `of_a_run` adds the noise of one run."""
        line = self.offset_spread**2 + self._steps(weights) ** 2 * np.diag(self.slopes.covariance)
        return np.sqrt(self._own(weights, of_a_run) ** 2 + line)

    def loss_intervals(self, weights: Array, confidence: float) -> tuple[Array, Array]:
        """Ends of every loss of one run, [m, J] each: the interval of the scale below, stretched by what errors here
        were of its doubt, and the line's own doubt, added as squares."""
        told, mean = self.below.losses(weights), self.losses(weights)
        low, high = self.below.loss_intervals(weights, confidence)
        line = self.offset_spread**2 + self._steps(weights) ** 2 * np.diag(self.slopes.covariance)
        return self._around(mean, (told - low) * self.slopes.noise, (high - told) * self.slopes.noise, line, confidence)

    def mean(self, weights: Array) -> Array:
        """Expected target loss of mixtures [m, S] -> [m]."""
        bent = self.target * self.slopes.mean  # what weighs nothing is not asked for
        return np.asarray(self.target @ self.offset + self.below.aimed(bent).mean(weights) - bent @ self.centre)

    def gradient(self, weights: Array) -> Array:
        """Gradient of the expected target loss at one mixture [S] -> [S]."""
        return self.below.aimed(self.target * self.slopes.mean).gradient(weights)

    def deviation(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of the target loss of mixtures [m, S] -> [m]."""
        own = self._combine(self._own(weights, of_a_run))
        return np.asarray(np.sqrt(own + self._line(weights)))

    def interval(self, weights: Array, confidence: float, of_a_run: bool = False) -> tuple[Array, Array]:
        """Low and high ends of the target loss, [m] each; of one run as in `loss_intervals`."""
        mean = self.mean(weights)
        if not of_a_run:
            reach = float(student.ppf(0.5 + confidence / 2, self.slopes.freedom)) * self.deviation(weights)
            return mean - reach, mean + reach
        scaled = self.below.aimed(self.target * self.slopes.noise)
        told, (low, high) = scaled.mean(weights), scaled.interval(weights, confidence, of_a_run=True)
        return self._around(mean, told - low, high - told, self._line(weights), confidence)

    def sample(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Expected target losses drawn jointly over mixtures [m, S] -> [count, m]."""
        return np.asarray(self.sample_losses(weights, count, rng) @ self.target)

    def sample_losses(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Expected losses drawn jointly, [count, m, J]: slopes, offsets and the scale below each draw theirs. Losses
        that weigh nothing in the target stay at their mean."""
        drawn = self.below.aimed(self.target).sample_losses(weights, count, rng) - self.below.losses(weights)
        promised = np.maximum(self.below.loss_deviations(weights), 1e-12)
        drawn *= self._own(weights, of_a_run=False) / promised
        counted = self.target != 0
        root = gp.root(self.correlation)
        offsets = counted * self.offset_spread * (rng.standard_normal((count, len(root))) @ root.T)
        bent = np.where(counted, self.slopes.sample(count, rng), self.slopes.mean)
        return np.asarray(self.offset + offsets[:, None, :] + bent[:, None, :] * self._steps(weights) + drawn)

    def _steps(self, weights: Array) -> Array:
        """What the scale below says, from the runs' average, [m, J]."""
        return self.below.losses(weights) - self.centre

    def _own(self, weights: Array, of_a_run: bool) -> Array:
        """Deviation around the line, [m, J]. Noise of one run is no more than the scale below shows, times the slope:
        what is left is how wrong the line is of the mixture itself."""
        whole = self.slopes.noise * self.below.loss_deviations(weights, of_a_run=True)
        if of_a_run:
            return whole
        sure = self.below.loss_deviations(weights)
        hidden = whole**2 - (self.slopes.noise * sure) ** 2
        hidden *= np.minimum(1.0, self.slopes.mean / self.slopes.noise) ** 2
        return np.asarray(np.sqrt(np.maximum(whole**2 - hidden, 0.0)))

    def _line(self, weights: Array) -> Array:
        """Variance of the target loss by the line's doubt, [m]."""
        steps = self._steps(weights) * self.target
        return np.asarray(self._combine(self.offset_spread) + np.sum((steps @ self.slopes.covariance) * steps, axis=1))

    def _combine(self, deviations: Array) -> Array:
        """Deviations of the losses [..., J] -> variance of their weighted sum [...]."""
        parts = deviations * self.target
        return np.asarray(np.maximum(np.sum((parts @ self.correlation) * parts, axis=-1), 1e-24))

    def _around(self, mean: Array, below: Array, above: Array, line: Array, confidence: float) -> tuple[Array, Array]:
        """Ends: reaches `below` and `above` the mean widened for a factor known from few runs, `line` (a variance)
        added."""
        wide = float(student.ppf(0.5 + confidence / 2, self.slopes.freedom))
        heavier = wide / float(norm.ppf(0.5 + confidence / 2))
        reaches = [np.sqrt((heavier * part) ** 2 + wide**2 * line) for part in (below, above)]
        return mean - reaches[0], mean + reaches[1]


def climb(below: Predictor, weights: Array, losses: Array) -> Rung:
    """Calibrate on runs of a larger scale: mixtures [n, S] and their losses [n, J]; FEWEST runs or more."""
    if len(weights) < FEWEST:
        raise ValueError(f"{len(weights)} runs of a larger scale; {FEWEST} or more tell how losses change")
    told, doubt = below.losses(weights), np.maximum(below.loss_deviations(weights, of_a_run=True), 1e-12)
    trust = doubt**-2.0
    total = np.sum(trust, axis=0)
    found = slopes.fit(told, losses, doubt)
    centre, offset = np.sum(trust * told, axis=0) / total, np.sum(trust * losses, axis=0) / total
    return Rung(below, below.target, centre, offset, found.noise / np.sqrt(total), found, len(weights))


def calibration(told: Predictor, limits: Limits, wanted: Mapping[str, Array], count: int, seed: int) -> Array:
    """Mixtures [count, S] to run at a larger scale: those `wanted` (the chosen one first), then good ones within the
    widened limits that are told as differently as can be. Same arguments, same mixtures.

    How differently: losses in units of their spread over the good ones, each weighed by its part in the target loss,
    half of it shared evenly so that every loss's slope is told. Farthest first (Gonzalez 1985).
    """
    given = np.array(list(wanted.values()))
    first = given[[rows[0] for rows in same_mixture(given)]][:count]
    pool = spread_out(first[0], limits.widened(), POOL, np.random.default_rng([seed, 7]))
    good = pool[np.argsort(told.mean(pool), kind="stable")[: POOL // 3]]
    every = np.vstack([first, good])
    losses = told.losses(every)
    spread = np.maximum(np.std(losses[len(first) :], axis=0), 1e-12)
    part = np.abs(told.target) * spread
    places = (losses - np.min(losses, axis=0)) / spread * np.sqrt(0.5 * part / np.sum(part) + 0.5 / len(part))
    return np.asarray(every[farthest_first(places**2, count, fixed=len(first))])  # it takes roots
