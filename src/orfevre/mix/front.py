"""What one loss costs another: mixtures from the best for the first to the best for the second."""

from collections.abc import Sequence

import numpy as np

from orfevre.mix import optimum
from orfevre.mix.gp import Array
from orfevre.mix.limits import TOLERANCE, Limits
from orfevre.mix.predictor import Predictor

STEPS = 11
"""Mixtures that are sought on a front."""


def front(fitted: Predictor, limits: Limits, start: Array, pair: Sequence[int]) -> list[tuple[Array, Array]]:
    """Losses [2] and mixture [S] of each point, from the least of the first loss on; what another point beats in both
    is left out. `pair`: columns of the two losses."""
    found, rng = [], np.random.default_rng(1)
    for share in np.linspace(0.0, 1.0, STEPS):
        weights = np.zeros(len(fitted.target))
        weights[pair[0]], weights[pair[1]] = 1.0 - share, share
        start = optimum.minimise(fitted.aimed(weights), limits, start, rng)
        found.append((fitted.losses(start[None])[0, list(pair)], start))
    kept: list[tuple[Array, Array]] = []
    for losses, mixture in sorted(found, key=lambda one: (float(one[0][0]), float(one[0][1]))):
        if not kept or losses[1] < kept[-1][0][1] - TOLERANCE:  # the others cost more of the first for no gain
            kept.append((losses, mixture))
    return kept
