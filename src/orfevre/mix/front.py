"""What one loss costs another: mixtures from the best for the first to the best for the second."""

from collections.abc import Sequence

import numpy as np

from orfevre.mix import optimum
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.predictor import Predictor

STEPS = 11
"""Weights of the two losses for which the best mixture is sought, from either end."""

LEAST = 1e-4
"""A point must be better than its neighbour in the second loss by this."""


def front(fitted: Predictor, limits: Limits, start: Array, pair: Sequence[int]) -> list[tuple[Array, Array]]:
    """Losses [2] and mixture [S] of each point, from the least of the first loss on; what another point beats in both
    is left out. `pair`: columns of the two losses.

    The ends are sought everywhere; each point between them is climbed to from its neighbour on either side.
    """
    rng = np.random.default_rng(1)
    aims = [_aimed(fitted, pair, share) for share in np.linspace(0.0, 1.0, STEPS)]
    first = optimum.minimise(aims[0], limits, start, rng)
    last = optimum.minimise(aims[-1], limits, first, rng)
    found = [*_followed(aims, limits, first), *_followed(aims[::-1], limits, last)]
    told = fitted.losses(np.array(found))[:, list(pair)]
    kept: list[tuple[Array, Array]] = []
    for losses, mixture in sorted(zip(told, found, strict=True), key=lambda one: (float(one[0][0]), float(one[0][1]))):
        if not kept or losses[1] < kept[-1][0][1] - LEAST:  # the others cost more of the first for no gain
            kept.append((losses, mixture))
    return kept


def _followed(aims: Sequence[Predictor], limits: Limits, start: Array) -> list[Array]:
    """`start`, and the end of a climb for each later aim from the one before."""
    found = [start]
    for aim in aims[1:]:
        found.append(optimum.settle(optimum.best_climb(aim, limits, found[-1][None]), limits))
    return found


def _aimed(fitted: Predictor, pair: Sequence[int], share: float) -> Predictor:
    weights = np.zeros(len(fitted.target))
    weights[list(pair)] = 1.0 - share, share
    return fitted.aimed(weights)
