"""The runs of one rung of the ladder for a picture: what the scale below says of each, and what was measured."""

from collections.abc import Sequence
from typing import Any

from orfevre.mix.gp import Array
from orfevre.mix.ladder import Rung


def points(
    rung: Rung, runs: Sequence[str], weights: Array, losses: Array, confidence: float
) -> list[dict[str, str | float]]:
    """One for each run on mixtures [n, S] with losses [n, J], all of the target loss: `told` by the scale below,
    `measured`, `predicted` by the rung itself with the ends `low` and `high` for one run."""
    low, high = rung.interval(weights, confidence, of_a_run=True)
    columns: dict[str, Any] = {
        "told": rung.below.losses(weights) @ rung.target,
        "measured": losses @ rung.target,
        "predicted": rung.mean(weights),
        "low": low,
        "high": high,
    }
    return [
        {"run": run, **{key: float(values[row]) for key, values in columns.items()}} for row, run in enumerate(runs)
    ]
