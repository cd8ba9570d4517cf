"""The target loss over the three sources that matter most: a table on a triangular grid, for a picture.

Shapes: S sources, m points.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orfevre.mix.gp import Array
from orfevre.mix.predictor import Predictor

STEPS = 15
"""Steps along a side of the triangle."""

LEAST_SHARE = 1e-3
"""A source with less in the mixture is not missed: what a climb leaves at a limit of 0 is rounding."""


def table(
    fitted: Predictor,
    mixture: Array,
    sources: Sequence[str],
    slices: Mapping[str, Mapping[str, Any]],
    confidence: float,
) -> dict[str, Any] | None:
    """`sources`, the share they make up `together`, and at `points` [m, 3] (shares of the whole) the expected target
    loss `predicted` [m] with the ends `low` and `high` of its interval.

    The three are those of `mixture` [S] whose loss would rise most without them. What they make up together is dealt
    among them; all others keep their shares. Points where one has more than its slice (of mixture.json) explored are
    left out. None with fewer than three such sources, or where no three points are left.
    """
    three = three_that_matter(fitted, mixture)
    if len(three) < 3:
        return None
    together = float(np.sum(mixture[three]))
    shares = together * grid(STEPS)
    explored = np.array([slices[sources[place]]["weight"][-1] for place in three])
    shares = shares[np.all(shares <= explored + 1e-9, axis=1)]
    if len(shares) < 3:
        return None
    places = np.tile(mixture, (len(shares), 1))
    places[:, three] = shares
    low, high = fitted.interval(places, confidence)
    return {
        "sources": [sources[place] for place in three],
        "together": together,
        "steps": STEPS,
        "points": shares.tolist(),
        "predicted": fitted.mean(places).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def three_that_matter(fitted: Predictor, mixture: Array) -> list[int]:
    """Up to three sources of the mixture [S], by what the target loss would rise to without each (the others in their
    proportions), the largest first. A range over all shares would name those that only do harm."""
    present = [place for place in range(len(mixture)) if LEAST_SHARE <= mixture[place] < 1.0]
    if not present:
        return []
    without = np.tile(mixture, (len(present), 1))
    without[np.arange(len(present)), present] = 0.0
    without /= np.sum(without, axis=1, keepdims=True)
    order = np.argsort(-fitted.mean(without), kind="stable")
    return [present[place] for place in order[:3]]


def grid(steps: int) -> Array:
    """Shares of three that sum to 1, in steps of 1 / steps: [(steps + 1) (steps + 2) / 2, 3]."""
    pairs = [(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.array([(i, j, steps - i - j) for i, j in pairs], dtype=np.float64) / steps
