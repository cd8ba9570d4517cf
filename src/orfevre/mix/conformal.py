"""Intervals that hold what they promise, whatever the model: CV+ (arXiv 1905.02928, section 3.2) with scaled errors.

Each run was told by a model that had not seen its fold. Its error, in units of that model's own doubt, is one draw of
how wrong such a model is. A new place is told by every fold's model, each of its runs' errors added and taken away,
scaled by the doubt about the new place; the interval runs between quantiles of all those.
"""

from collections.abc import Sequence

import numpy as np

from orfevre.mix.gp import Array


def interval(
    means: Array, doubts: Array, errors: Array, folds: Sequence[Array], confidence: float
) -> tuple[Array, Array]:
    """Low and high ends [m].

    `means`, `doubts` [F, m]: what each fold's model says of the new places and how unsure it is. `errors` [n]: absolute
    error over doubt of each run, told by its fold's model. Covers at least 2 confidence - 1 always, and close to
    `confidence` in practice (theorem 4 there).
    """
    below, above = [], []
    for fold, mean, doubt in zip(folds, means, doubts, strict=True):
        reach = errors[fold][:, None] * doubt
        below.append(mean - reach)
        above.append(mean + reach)
    lows, highs = np.sort(np.concatenate(below), axis=0), np.sort(np.concatenate(above), axis=0)
    num = len(lows)
    # the place-th smallest high and the place-th largest low; with too few runs to promise so much, the widest
    place = min(int(np.ceil(confidence * (num + 1))), num)
    return lows[num - place], highs[place - 1]
