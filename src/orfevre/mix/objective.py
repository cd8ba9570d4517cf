"""`orfevre fit --optimise`: the best mixture for an objective, its interval, and what it hangs on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from orfevre import console
from orfevre.errors import RecipeError
from orfevre.mix import conflict, front, optimum, sensitivity
from orfevre.mix.gp import Array
from orfevre.mix.limits import TOLERANCE, Limits
from orfevre.mix.predictor import Predictor
from orfevre.recipe import Objective

KEPT = 1e-6
"""A ceiling exceeded by less is kept."""

Table = dict[str, Any]


def best(
    path: Path, asked: Objective, fitted: Predictor, sources: Sequence[str], targets: Sequence[str], confidence: float
) -> Table:
    """What goes into BEST.json. `fitted.target` is that of the objective (see `target_of`).

    Raises RecipeError for limits or ceilings that no mixture keeps.
    """
    natural, limits = limits_of(path, asked, sources)
    ceilings = ceilings_of(path, asked, targets)
    rng = np.random.default_rng(len(sources))
    mixture = optimum.minimise(fitted, limits, natural, rng, ceilings)
    if ceilings is not None:
        _require_kept(path, fitted, limits, mixture, ceilings, targets)
    free = optimum.minimise(fitted, limits.simplex(), mixture, rng)
    low, high = optimum.intervals(fitted, limits, mixture, confidence, rng)
    change, ends = sensitivity.swaps(fitted, mixture, confidence, rng)
    table = {
        "weights": _named(sources, mixture),
        "intervals": {name: [float(a), float(b)] for name, a, b in zip(sources, low, high, strict=True)},
        "binding": limits.binding(mixture),
        "unconstrained": _named(sources, free),
        "natural": _named(sources, natural),
        "predicted": {name: _told(fitted, one, targets, confidence) for name, one in
                      (("best", mixture), ("unconstrained", free), ("natural", natural))},
        "swaps": {name: {"change": float(c), "interval": pair.tolist()}
                  for name, c, pair in zip(sources, change, ends, strict=True)},
        "shadow_prices": [asdict(one) for one in sensitivity.shadows(fitted, limits, mixture)],
        "epochs": {name: float(mixture[sources.index(name)] * asked.num_tokens / tokens)
                   for name, tokens in asked.available.items() if tokens > 0},
    }  # fmt: skip
    if asked.pareto:
        table["pareto"] = _front(path, asked.pareto, fitted, limits, natural, sources, targets)
    return table


def target_of(path: Path, asked: Objective, targets: Sequence[str]) -> Array:
    """Weight of each loss in the objective, [J]."""
    return _shares(path, asked.target, targets, "target")


def limits_of(path: Path, asked: Objective, sources: Sequence[str]) -> tuple[Array, Limits]:
    """The natural mixture [S], uniform where none is given, and what a mixture must keep.

    Raises RecipeError for unknown names and for limits that no mixture keeps.
    """
    even = np.full(len(sources), 1 / len(sources))
    natural = _shares(path, asked.natural, sources, "natural") if asked.natural else even
    return natural, _limits(path, asked, sources, natural)


def tell(table: Mapping[str, Any], confidence: float) -> None:
    """The mixture as a table for people."""
    rows = []
    for name, weight in sorted(table["weights"].items(), key=lambda pair: -pair[1]):
        low, high = table["intervals"][name]
        swap = table["swaps"][name]
        rows.append((
            f"{name} *" if name in table["binding"] else name, f"{weight:.4f}", f"{low:.4f} to {high:.4f}",
            f"{table['natural'][name]:.4f}", f"{table['unconstrained'][name]:.4f}",
            f"{swap['change']:+.5f} ({swap['interval'][0]:+.5f} to {swap['interval'][1]:+.5f})",
        ))  # fmt: skip
    columns = (
        "source",
        "best",
        f"{confidence:.0%} interval",
        "natural",
        "without limits",
        "one point more changes the loss by",
    )
    console.table(columns, rows)
    for name, told in table["predicted"].items():
        console.say(
            f"{name}: {told['target']:.4f}, one run between {told['interval'][0]:.4f} and {told['interval'][1]:.4f}"
        )
    for one in table["shadow_prices"]:
        console.say(f"* {one['source']}: a tenth more room would win {one['gain']:.5f}")


def _shares(path: Path, given: Mapping[str, float], names: Sequence[str], key: str) -> Array:
    if unknown := sorted(set(given) - set(names)):
        raise RecipeError(f"{path}: {key}.{unknown[0]} is not in the runs, which have {', '.join(names)}")
    shares = np.array([given.get(name, 0.0) for name in names])
    return np.asarray(shares / np.sum(shares))


def _limits(path: Path, asked: Objective, sources: Sequence[str], natural: Array) -> Limits:
    known = set(sources)
    given: dict[str, Iterable[str]] = {
        key: getattr(asked, key) for key in ("min_weights", "max_weights", "available")
    } | {f"groups {group.name}": group.sources for group in asked.groups}
    for key, names in given.items():
        if unknown := sorted(set(names) - known):
            raise RecipeError(f"{path}: {key}: {unknown[0]} is not in the runs, which have {', '.join(sources)}")
    low = np.array([asked.min_weights.get(name, 0.0) for name in sources])
    high = np.array([asked.max_weights.get(name, 1.0) for name in sources])
    if asked.num_tokens:
        supply = [asked.max_epochs * asked.available.get(name, np.inf) / asked.num_tokens for name in sources]
        high = np.minimum(high, supply)
    limits = Limits(tuple(sources), low, high, conflict.caps(asked.groups, sources))
    if asked.trust_ratio:
        limits = conflict.trusted(limits, natural, asked.trust_ratio)
    if not conflict.possible(limits):
        lines = conflict.smallest(limits, lambda side, place: _why(asked, limits, side, place))
        raise RecipeError("\n".join([f"{path}: no mixture keeps these limits together:", *lines, conflict.REMEDY]))
    return limits


def _why(asked: Objective, limits: Limits, side: str, place: int) -> str:
    name, bound = limits.sources[place], float((limits.low if side == "low" else limits.high)[place])
    key = "min_weights" if side == "low" else "max_weights"
    if abs(getattr(asked, key).get(name, np.inf) - bound) < TOLERANCE:
        return f"{key}.{name}"
    supply = asked.max_epochs * asked.available.get(name, np.inf) / (asked.num_tokens or np.inf)
    return "available x max_epochs" if side == "high" and abs(supply - bound) < TOLERANCE else "trust_ratio"


def ceilings_of(path: Path, asked: Objective, targets: Sequence[str]) -> Array | None:
    """The most each loss may be, [J], infinite where any will do; None where there are none."""
    if unknown := sorted(set(asked.max_losses) - set(targets)):
        raise RecipeError(f"{path}: max_losses.{unknown[0]} is not in the runs, which have {', '.join(targets)}")
    return np.array([asked.max_losses.get(name, np.inf) for name in targets]) if asked.max_losses else None


def _require_kept(
    path: Path, fitted: Predictor, limits: Limits, mixture: Array, ceilings: Array, targets: Sequence[str]
) -> None:
    over = fitted.losses(mixture[None])[0] - ceilings
    if np.max(over) <= KEPT:
        return
    lines = []
    for place in np.flatnonzero(np.isfinite(ceilings)).tolist():
        alone = fitted.aimed(np.eye(len(targets))[place])
        least = optimum.minimise(alone, limits, mixture, np.random.default_rng(0))
        lines.append(
            f"  {targets[place]}: {ceilings[place]:g} asked, {float(alone.mean(least[None])[0]):.4f} is its least"
        )
    raise RecipeError("\n".join([f"{path}: no allowed mixture keeps all of max_losses:", *lines, "Raise one of them"]))


def _front(
    path: Path, pair: Sequence[str], fitted: Predictor, limits: Limits, natural: Array, sources: Sequence[str],
    targets: Sequence[str],
) -> list[Table]:  # fmt: skip
    """Mixtures from the best for the first loss to the best for the second, those out that another beats in both."""
    if unknown := [name for name in pair if name not in targets]:
        raise RecipeError(f"{path}: pareto: {unknown[0]} is not in the runs, which have {', '.join(targets)}")
    return [
        {"losses": dict(zip(pair, losses.tolist(), strict=True)), "weights": _named(sources, mixture)}
        for losses, mixture in front.front(fitted, limits, natural, [targets.index(name) for name in pair])
    ]


def _told(fitted: Predictor, mixture: Array, targets: Sequence[str], confidence: float) -> Table:
    low, high = fitted.interval(mixture[None], confidence, of_a_run=True)
    losses = fitted.losses(mixture[None])[0]
    return {
        "target": float(fitted.mean(mixture[None])[0]),
        "interval": [float(low[0]), float(high[0])],
        "losses": dict(zip(targets, losses.tolist(), strict=True)),
    }


def _named(sources: Sequence[str], mixture: Array) -> dict[str, float]:
    return dict(zip(sources, mixture.tolist(), strict=True))
