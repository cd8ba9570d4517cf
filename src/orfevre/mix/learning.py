"""How the prediction got better as proxies came in: the surrogate fitted to the first n runs, for growing n.

Shapes: n runs, S sources, J losses.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from orfevre.mix import optimum, surrogate
from orfevre.mix.design import around
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits

FIRST = 8
"""Runs of the first point; the next ones have a half or a third more each."""

MANY_LOSSES = 8
"""With more losses in the target the runs double from point to point: a fit costs as much as it has losses."""

LEFT = 4
"""Runs on mixtures not seen that a point is told on, at least; with fewer, on its own runs out of their folds."""

BROAD = 2048
"""Random mixtures among which the optimum is sought, then as many again in ROUNDS ever closer to it."""

ROUNDS = (0.1, 0.03, 0.01, 0.003)
"""Distances of the later ones, of a share, in roots."""


def curve(
    weights: Array,
    losses: Array,
    target: Array,
    limits: Limits,
    whole: surrogate.Surrogate | None = None,
    designed: Sequence[bool] | None = None,
) -> list[dict[str, Any]]:
    """A point for each number of runs: `runs`, `error` (root mean square, of the target loss), `spearman` (None where
    one side does not vary), `told` (`others`: on mixtures that had not come in yet, `folds`: on its own runs, each by
    the folds it is not in) and `best`, the predicted target loss of the optimum found then.

    `weights` [n, S] and `losses` [n, J] in the order the runs were decided; `whole` is the fit to all of them, where
    there is one already. Only `designed` runs [n] count as others: those of batches lie so close to each other that
    their ranks are mostly noise.
    """
    others = np.ones(len(weights), bool) if designed is None else np.asarray(designed)
    used = target > 0
    rng = np.random.default_rng(len(weights))
    anywhere = np.vstack([
        weights[[limits.contains(mixture) for mixture in weights]],
        optimum.spread_out(limits.project(np.mean(weights, axis=0)), limits, BROAD, rng),
    ])  # fmt: skip
    points = []
    for count in counts(weights, int(np.sum(used))):
        known = whole if count == len(weights) else None
        fitted = known or surrogate.fit(weights[:count], losses[:count, used], target[used])
        later = count + np.flatnonzero(others[count:])
        point = _told(fitted, weights[later], losses[later] @ target, weights[:count])
        points.append({"runs": count} | point | {"best": _best(fitted, anywhere, limits)})
    return points


def counts(weights: Array, num_losses: int) -> list[int]:
    """Numbers of runs at which the prediction is looked at, the last all of them."""
    found, number = [], FIRST
    while number < len(weights):
        if len(surrogate.same_mixture(weights[:number])) >= FIRST // 2:
            found.append(number)
        half = number & (number - 1) == 0  # a power of two: 8, 12, 16, 24, 32, ...
        number += number if num_losses > MANY_LOSSES else number // 2 if half else number // 3
    return [*found, len(weights)]


def _told(fitted: surrogate.Surrogate, weights: Array, measured: Array, seen: Array) -> dict[str, Any]:
    """How well the target losses of later runs on mixtures not `seen` are told."""
    groups = surrogate.same_mixture(np.vstack([seen, weights]))
    new = [row - len(seen) for group in groups if group[0] >= len(seen) for row in group]
    if len(new) >= LEFT:
        told, truth, by = fitted.mean(weights[new]), measured[new], "others"
    else:
        told, truth, by = fitted.told(0.9)[0], fitted.measured @ fitted.target, "folds"
    error = float(np.sqrt(np.mean((told - truth) ** 2)))
    return {"error": error, "spearman": surrogate.spearman(truth, told), "told": by}


def _best(fitted: surrogate.Surrogate, anywhere: Array, limits: Limits) -> float:
    """Least expected target loss among many mixtures and ever closer to the best of them. A climb would cost more than
    the fit."""
    means = fitted.mean(anywhere)
    best, least = anywhere[np.argmin(means)], float(np.min(means))
    rng = np.random.default_rng(len(anywhere))
    for reach in ROUNDS:
        near = around(best, limits, BROAD // len(ROUNDS), (reach / 3, reach), rng)
        means = fitted.mean(near)
        if float(np.min(means)) < least:
            best, least = near[np.argmin(means)], float(np.min(means))
    return least
