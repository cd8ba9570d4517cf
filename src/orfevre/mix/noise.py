"""How loud runs are, from runs of the same mixture with other seeds: on average, and where they are louder.

Shapes: n runs, m mixtures, S sources, J losses, G mixtures that were run twice or more, D degrees of freedom in all.

Noise is `sigma_j exp(slope_j z)`, z being how large loss j is there, in deviations over the runs. Within a repeated
mixture of d + 1 runs, `d variance / noise^2` is chi-squared with d degrees of freedom; sigma_j has a flat prior on its
log and is integrated out. Slopes are drawn to one slope for all losses, that one to 0 (equal noise everywhere): four
repeats say little, and then little is believed. Without repeats of two mixtures noise is equal everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from orfevre.mix import law
from orfevre.mix.gp import Array

COMMON_SPREAD = 0.25
"""Of the slope that all losses have in common: noise e^0.25 times as large where a loss is one deviation larger."""

OWN_SPREAD = 0.2
"""Of one loss's slope around the common one."""

MOST = 4.0
"""The loudest and the quietest mixture differ from the middle by this factor at most."""

LEVEL_RIDGE = 0.2
"""Of the law that says how large a loss is somewhere: coarse is enough."""


@dataclass(frozen=True)
class Noise:
    """The noise of one loss, relative to its middle over the runs."""

    level: law.Law
    centre: float
    spread: float
    reach: tuple[float, float]
    """Least and largest z among the runs; beyond, noise is that at the end."""
    slope: float

    def ratio(self, weights: Array) -> Array:
        """Relative noise at mixtures [m, S] -> [m]; its logs have mean 0 over the runs."""
        z = np.clip((self.level.mean(weights) - self.centre) / self.spread, *self.reach)
        return np.asarray(np.clip(np.exp(self.slope * z), 1 / MOST, MOST))


def pure_error(losses: Array, groups: Sequence[Sequence[int]]) -> Array | None:
    """Deviation of one run [J] by runs of the same mixture alone; None where no mixture was run twice.

    `groups`: rows of each mixture.
    """
    variances, freedom = _within(losses, groups)
    if not len(freedom):
        return None
    return np.asarray(np.sqrt(freedom @ variances / np.sum(freedom)))


def fit(weights: Array, losses: Array, groups: Sequence[Sequence[int]]) -> tuple[Noise | None, ...]:
    """Noise of each of `losses` [n, J] over mixtures [n, S].

    None for all where fewer than two mixtures have repeats, and for a loss whose repeats were all equal.
    """
    variances, freedom = _within(losses, groups)
    heard = np.sum(variances, axis=0) > 0
    if len(freedom) < 2 or not np.any(heard):
        return tuple(None for _ in losses.T)
    repeated = [rows[0] for rows in groups if len(rows) > 1]
    levels = [law.fit("effective", weights, column, LEVEL_RIDGE) for column in losses.T]
    told = np.stack([level.mean(weights) for level in levels], axis=1)
    centre, spread = np.mean(told, axis=0), np.std(told, axis=0)
    heard &= spread > 1e-9
    z = (told - centre) / np.where(heard, spread, 1.0)
    found = np.zeros(losses.shape[1])
    found[heard] = slopes(variances[:, heard], freedom, z[repeated][:, heard], _independent(losses[:, heard], groups))
    return tuple(
        Noise(level, float(centre[j]), float(spread[j]), (float(z[:, j].min()), float(z[:, j].max())), float(found[j]))
        if heard[j]
        else None
        for j, level in enumerate(levels)
    )


def slopes(variances: Array, freedom: Array, z: Array, independent: float) -> Array:
    """Likeliest slopes [J] after `variances` [G, J] of `freedom` [G] degrees were seen where the losses are `z` [G, J].

    `independent`: how many of the J losses say something of their own; seeds that spoil one spoil others.
    """
    num, total, trust = z.shape[1], float(np.sum(freedom)), independent / z.shape[1]
    lean = freedom @ z

    def minus_log(theta: Array) -> tuple[float, Array]:
        common, own = theta[0], theta[1:]
        parts = freedom[:, None] * variances * np.exp(-2.0 * own * z)
        sums = np.sum(parts, axis=0)
        value = trust * float(np.sum(0.5 * total * np.log(sums) + own * lean))
        slope = trust * (lean - total * np.sum(parts * z, axis=0) / sums) + (own - common) / OWN_SPREAD**2
        value += 0.5 * float(np.sum(((own - common) / OWN_SPREAD) ** 2)) + 0.5 * (common / COMMON_SPREAD) ** 2
        pull = common / COMMON_SPREAD**2 - float(np.sum(own - common)) / OWN_SPREAD**2
        return value, np.concatenate([[pull], slope])

    return np.asarray(minimize(minus_log, np.zeros(num + 1), jac=True, method="L-BFGS-B").x[1:])


def _within(losses: Array, groups: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Variance of each loss within each repeated mixture [G, J], and degrees of freedom [G]."""
    repeated = [losses[list(rows)] for rows in groups if len(rows) > 1]
    variances = [np.var(rows, axis=0, ddof=1) for rows in repeated]
    return np.array(variances).reshape(-1, losses.shape[1]), np.array([len(rows) - 1.0 for rows in repeated])


def _independent(losses: Array, groups: Sequence[Sequence[int]]) -> float:
    """How many losses say something of their own, 1 to J: the participation ratio of the repeats' correlations."""
    gaps = np.vstack([losses[list(rows)] - np.mean(losses[list(rows)], axis=0) for rows in groups if len(rows) > 1])
    gaps = gaps / np.sqrt(np.sum(gaps**2, axis=0))
    return float(losses.shape[1] ** 2 / np.sum((gaps.T @ gaps) ** 2))
