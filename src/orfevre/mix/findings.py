"""The part of mixture.json that compares what was predicted, measured and paid, and says at which size."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orfevre.errors import RecipeError
from orfevre.mix import check, front, learning, mixture, price, proxies, rank_risk, rung_points, ternary
from orfevre.mix.choice import Choice, Problem
from orfevre.mix.experiment import Experiment, Found
from orfevre.mix.mixture import Table
from orfevre.mix.proxies import Bench, Row
from orfevre.recipe import Recipe

KEPT = 1e-4
"""A ceiling exceeded by less, in bits per byte, is kept."""


def compared(recipe: Recipe, asked: Problem, checks: Sequence[Row]) -> Table:
    """What the check says: losses by arm, the verdict, the price of the natural mixture."""
    confidence = recipe.mix.confidence
    arms = {arm: [row for row in checks if row["kind"] == arm] for arm in (check.CHOSEN, *asked.rivals)}
    targets = {arm: mixture.target_losses(asked, rows) for arm, rows in arms.items()}
    budgets: dict[float, list[Row]] = {1.0: arms["natural"]}
    for row in checks:
        if row["kind"] == "budget":
            budgets.setdefault(row["budget"], []).append(row)
    by_budget = {budget: mixture.target_losses(asked, made) for budget, made in budgets.items()}
    priced = price.price(by_budget, targets[check.CHOSEN], check.noise(targets), confidence, recipe.seed)
    return {
        "measured": mixture.measured_table(asked, arms, confidence),
        "verdict": mixture.verdict_table(check.judge(targets, confidence)),
        "price": mixture.price_table(asked, budgets, priced),
    }


def told(recipe: Recipe, asked: Problem, choice: Choice, found: Found, sizes: Sequence[Table]) -> Table:
    """What is expected of the chosen mixture, of its rivals, and of mixtures around it, and how well it was told.

    `sizes`: of the ladder's rungs, from `scales`.
    """
    confidence = recipe.mix.confidence
    slices = mixture.slices_table(asked, choice, confidence)
    return {
        "predicted": mixture.predicted_table(asked, choice, confidence),
        "surrogate": mixture.surrogate_table(asked, found.fitted, found.rows, confidence),
        "slices": slices,
        "ternary": ternary.table(choice.told, choice.weights, asked.sources, slices, confidence),
        "learning": _learning(asked, found),
        "batches": [
            {key: batch[key] for key in ("runs", "within", "improvement", "stop")} for batch in found.design.batches
        ],
        "pareto": _front(recipe, asked, choice),
        "ladder": _ladder(asked, choice, found, sizes, confidence),
        **mixture.sensitivity_table(asked, choice, confidence, recipe.seed),
    }


def scales(made: Experiment, found: Found, checked: Bench) -> Table:
    """At which size what was measured: what is told holds at the last rung of the ladder, or at the proxies'."""
    recipe = made.recipe
    rungs = [proxies.bench(recipe, made.bench.tokenize, rung.model, rung.training) for rung in recipe.mix.ladder]
    return {
        "proxies": proxies.size(made.bench) | {"runs": len(found.rows)},
        "ladder": [proxies.size(place) | {"runs": len(rows)} for place, rows in zip(rungs, found.climbed, strict=True)],
        "check": proxies.size(checked) | {"runs": recipe.mix.check.seeds},
        "predicted": len(rungs) - 1 if rungs else "proxies",
    }


def require_ceilings(asked: Problem, choice: Choice) -> None:
    """Raises RecipeError where the chosen mixture exceeds one of mix.max_losses: no allowed mixture keeps them all."""
    if asked.ceilings is None:
        return
    expected = choice.told.losses(choice.weights[None])[0]
    if np.all(expected <= asked.ceilings + KEPT):
        return
    lines = [
        f"  mix.max_losses.{name} = {ceiling:g}; the mixture that comes nearest is expected at {loss:.4f}"
        for name, ceiling, loss in zip(asked.validated, asked.ceilings, expected, strict=True)
        if np.isfinite(ceiling)
    ]
    raise RecipeError("\n".join(["mix: no allowed mixture keeps these ceilings:", *lines, "Raise one of them"]))


def _learning(asked: Problem, found: Found) -> list[Table]:
    weights, losses = asked.weights_of(found.rows), asked.losses_of(found.rows)
    designed = [row["kind"] != "batch" for row in found.rows]
    return learning.curve(weights, losses, asked.target, asked.limits, found.fitted, designed)


def _front(recipe: Recipe, asked: Problem, choice: Choice) -> Table | None:
    pair = recipe.mix.pareto
    if not pair:
        return None
    columns = [asked.validated.index(name) for name in pair]
    return {
        "losses": list(pair),
        "front": [
            {"losses": dict(zip(pair, losses.tolist(), strict=True)), "weights": asked.named(weights)}
            for losses, weights in front.front(choice.told, asked.limits, choice.weights, columns)
        ],
    }


def _ladder(
    asked: Problem, choice: Choice, found: Found, sizes: Sequence[Table], confidence: float
) -> Mapping[str, Any] | None:
    """How losses change with size: each rung's slopes and runs, and how likely a rival is in truth the better one."""
    if not found.rungs:
        return None
    rungs = []
    for size, rung, rows in zip(sizes, found.rungs, found.climbed, strict=True):
        weights, losses = asked.weights_of(rows), asked.losses_of(rows)
        rungs.append(
            size
            | rank_risk.rung_table(rung, asked.validated, weights, losses, confidence)
            | {"points": rung_points.points(rung, [row["run"] for row in rows], weights, losses, confidence)}
        )
    rivals = rank_risk.rivals(choice.told, choice.weights, asked.rivals)
    return {"rungs": rungs, "rank_risk": {"rivals": rivals}}
