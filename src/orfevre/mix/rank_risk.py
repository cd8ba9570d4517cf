"""How far a rung of the ladder can be believed: its own runs told without themselves, and the risk of a wrong choice.

Shapes: n runs, J losses, S sources.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orfevre.mix import ladder
from orfevre.mix.gp import Array
from orfevre.mix.predictor import Predictor
from orfevre.mix.surrogate import same_mixture, spearman

DRAWS = 4000
"""Draws behind a probability: its own error is below 0.01."""

RANKED = 4
"""Runs below which no rank correlation is given."""


def rivals(told: Predictor, chosen: Array, others: Mapping[str, Array]) -> dict[str, float]:
    """Probability that each of `others` [S] has in truth a lower target loss than `chosen` [S] at the scale of `told`.

    Slopes, offsets and losses are drawn jointly, so what is unsure of both mixtures alike does not count. A rival that
    is the chosen mixture has 0: it is no better.
    """
    if not others:
        return {}
    draws = told.sample(np.vstack([chosen, *others.values()]), DRAWS, np.random.default_rng(4))
    better = np.mean(draws[:, 1:] < draws[:, :1], axis=0)
    same = [bool(np.allclose(chosen, one, atol=1e-6)) for one in others.values()]
    return {name: 0.0 if equal else float(p) for name, p, equal in zip(others, better, same, strict=True)}


def without_each(rung: ladder.Rung, weights: Array, losses: Array, folds: Sequence[Array] | None = None) -> Array:
    """Losses of the rung's runs (mixtures [n, S], measured [n, J]), each told by the line of the others, [n, J].

    `folds` are row numbers that are left out together; repeats of one mixture where none are given.
    """
    told, rows = np.empty_like(losses), np.arange(len(weights))
    for fold in folds if folds is not None else [np.array(group) for group in same_mixture(weights)]:
        rest = np.setdiff1d(rows, fold)
        told[fold] = ladder.climb(rung.below, weights[rest], losses[rest]).losses(weights[fold])
    return told


def rung_table(
    rung: ladder.Rung, names: Sequence[str], weights: Array, losses: Array, confidence: float
) -> dict[str, Any]:
    """Slopes by loss with their intervals, and how well each run of the rung is told without itself: rank correlation
    of the target loss and of each loss, root mean square error of the target loss. None for what so few runs cannot
    say: with two, none can be left out."""
    ends = rung.slopes.intervals(confidence)
    table: dict[str, Any] = {
        "runs": len(weights),
        "slopes": dict(zip(names, rung.slopes.mean.tolist(), strict=True)),
        "intervals": dict(zip(names, ends.tolist(), strict=True)),
        "spearman": None,
        "error": None,
        "spearmans": dict.fromkeys(names),
    }
    if len(weights) - max(map(len, same_mixture(weights))) < ladder.FEWEST:
        return table
    told = without_each(rung, weights, losses)
    missed = (told - losses) @ rung.target
    table["error"] = float(np.sqrt(np.mean(missed**2)))
    if len(weights) >= RANKED:
        table["spearman"] = spearman(told @ rung.target, losses @ rung.target)
        table["spearmans"] = {
            name: spearman(told[:, place], losses[:, place]) for place, name in enumerate(names)
        }  # fmt: skip
    return table
