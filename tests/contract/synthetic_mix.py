"""The half of a synthetic run that chooses the mixture: proxies, check runs, mixture.json. See synthetic_run.py.

Losses follow a known law: a power of the tokens that teach a source, and at each rung of the ladder another floor and
another amplitude for each source. Three variants: `full` has every optional block, `plain` none of them, `wide` all of
them over sixteen sources.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_text import Run, write_json

from orfevre import metrics

NAMES = ("code", "docs", "prose", "web")
WIDE = (
    "books_en", "books_fr", "books_de", "books_es", "python", "c_headers", "javascript", "mathematics", "french_law",
    "news", "dialogue", "encyclopaedia", "technical_docs", "science_abstracts", "letters", "a_source_with_a_long_name",
)  # fmt: skip
TARGETS = {
    NAMES: {"code": 0.4, "docs": 0.4, "prose": 0.2},
    WIDE: {"python": 0.4, "french_law": 0.2, "books_fr": 0.3, "dialogue": 0.1},
}
KIN = {
    ("docs", "code"): 0.25, ("code", "docs"): 0.15, ("prose", "docs"): 0.3, ("web", "prose"): 0.35,
    ("python", "javascript"): 0.3, ("python", "technical_docs"): 0.2, ("french_law", "books_fr"): 0.25,
    ("books_fr", "french_law"): 0.2, ("dialogue", "books_en"): 0.3, ("python", "c_headers"): 0.2,
}  # fmt: skip
PROXY_TOKENS, PROXY_PARAMETERS = 1_000_000, 210_000
RUNGS = {"plain": 0, "full": 1, "wide": 2}
"""Of the ladder; each has four times the parameters and tokens of the one below."""

Weights = Mapping[str, float]


def names_of(variant: str) -> tuple[str, ...]:
    return WIDE if variant == "wide" else NAMES


def floor(source: str) -> float:
    """Loss that no data removes, bits per byte."""
    return 1.15 + 0.05 * (sum(map(ord, source)) % 17)


def amplitude(source: str) -> float:
    """How much of the distance to the floor a rung leaves."""
    return 0.7 + 0.05 * (sum(map(ord, source)) % 11)


def true_loss(source: str, weights: Weights, tokens: float = PROXY_TOKENS, rung: int = 0) -> float:
    """Bits per byte on a source: a power law in the tokens that teach it, its own and, a little, the others'."""
    useful = weights[source] + sum(weights[other] * KIN.get((source, other), 0.05) for other in weights)
    learnt = 0.42 * (useful * tokens / PROXY_TOKENS / 4**rung) ** -0.33
    return floor(source) - 0.12 * rung + amplitude(source) ** rung * learnt


def target_loss(losses: Weights, target: Weights) -> float:
    return sum(weight * losses[name] for name, weight in target.items())


def rivals(variant: str, natural: Weights) -> dict[str, dict[str, float]]:
    """Mixtures made by hand."""
    if variant == "plain":
        return {}
    names = list(natural)
    target = TARGETS[names_of(variant)]
    by_hand = {name: 0.8 * target.get(name, 0.0) + 0.2 * natural[name] for name in names}
    half = {name: (0.5 if name == next(iter(target)) else 0.5 / (len(names) - 1)) for name in names}
    return {"by_hand": by_hand, "half_code": half}


def write_mix(run: Run, draft: Path, wins: bool, variant: str) -> dict[str, int]:
    names = list(run.recipe.source_names)
    index = json.loads((run / "tokenize" / "index.json").read_text())["sources"]
    total = sum(index[name]["train"]["tokens"] for name in names)
    natural = {name: index[name]["train"]["tokens"] / total for name in names}
    chosen = _best(names, TARGETS[tuple(names)]) if wins else {name: round(w, 3) for name, w in natural.items()}
    arms = {"chosen": chosen, "natural": natural, "uniform": dict.fromkeys(names, 1 / len(names))}
    arms |= rivals(variant, natural)
    top = RUNGS[variant]
    proxies = [_small_run(run, f"p{n:03d}", "proxy", _dirichlet(run.rng, names), n) for n in range(24)]
    proxies += [_small_run(run, f"p{24 + n:03d}", "repeat", natural, 24 + n) for n in range(2)]
    ladder: list[dict[str, Any]] = []
    for rung in range(1, top + 1):
        told = [*arms.values(), *(_dirichlet(run.rng, names) for _ in range(6 - len(arms)))]
        ladder += [
            _small_run(run, f"l{rung - 1}-{n:03d}", "ladder", w, n, rung=rung) | {"rung": rung - 1}
            for n, w in enumerate(told)
        ]
    checks = [
        _small_run(run, f"c-{arm}-{seed}", arm, weights, seed, rung=top) | {"budget": 1.0}
        for arm, weights in arms.items()
        for seed in range(2)
    ]
    checks += [
        _small_run(run, f"c-budget-{budget:g}", "budget", natural, 0, budget, top) | {"budget": budget}
        for budget in (0.5, 2.0)
    ]
    decided = [[{key: row[key] for key in ("run", "kind", "weights", "seed")} for row in rows]
               for rows in (proxies, ladder)]  # fmt: skip
    write_json(draft / "design.json", {"runs": decided[0], "batches": [], "ladder": [decided[1]] if top else []})
    for name, rows in (("proxies.jsonl", proxies), ("ladder.jsonl", ladder), ("checks.jsonl", checks)):
        for row in rows:
            metrics.append(draft / name, row)
    write_json(draft / "mixture.json", _mixture(run, arms, proxies, ladder, checks, variant))
    return {"proxies": len(proxies), "checks": len(checks)}


def _best(names: Sequence[str], target: Weights) -> dict[str, float]:
    """Near the optimum of the law: the target's own sources and, a little, their kin."""
    raw = {name: target.get(name, 0.0) ** 0.75 + 0.02 for name in names}
    for (taught, teacher), worth in KIN.items():
        if teacher in raw:
            raw[teacher] += 0.2 * worth * target.get(taught, 0.0)
    return {name: value / sum(raw.values()) for name, value in raw.items()}


def _dirichlet(rng: random.Random, names: Sequence[str]) -> dict[str, float]:
    draws = [rng.gammavariate(1.2, 1.0) + 0.02 for _ in names]
    return {name: draw / sum(draws) for name, draw in zip(names, draws, strict=True)}


def _small_run(
    run: Run, name: str, kind: str, weights: Weights, seed: int, budget: float = 1.0, rung: int = 0
) -> dict[str, Any]:
    tokens = int(PROXY_TOKENS * 4**rung * budget)
    losses = {source: true_loss(source, weights, tokens, rung) + run.rng.gauss(0, 0.004) for source in weights}
    return {"run": name, "kind": kind, "weights": dict(weights), "seed": seed, "tokens": tokens,
            "flops": 6.0 * PROXY_PARAMETERS * 4**rung * tokens, "seconds": 14.0 * budget * 16**rung,
            "losses": losses}  # fmt: skip


def _mixture(
    run: Run,
    arms: Mapping[str, Weights],
    proxies: Sequence[Any],
    ladder: Sequence[Any],
    checks: Sequence[Any],
    variant: str,
) -> dict[str, Any]:
    names = list(run.recipe.source_names)
    target, chosen, top = TARGETS[tuple(names)], arms["chosen"], RUNGS[variant]
    measured = {arm: _measured([row for row in checks if row["kind"] == arm], target) for arm in arms}
    gains = {arm: measured[arm]["target"] - measured["chosen"]["target"] for arm in arms if arm != "chosen"}
    wins = min(gains["natural"], gains["uniform"]) > 0.006
    text = "the chosen mixture beats both baselines" if wins else "the chosen mixture does not beat the natural mixture"
    capped, floored = list(target)[1], names[-1]
    limits = {name: [0.0, 1.0] for name in names} | {capped: [0.0, chosen[capped]], floored: [chosen[floored], 1.0]}
    group = {"sources": list(target)[1:3], "limits": [0.0, 0.9], "weight": sum(chosen[n] for n in list(target)[1:3])}
    return {
        "sources": names, "target": target, "confidence": 0.9, "unit": "bits per byte",
        "arms": list(arms), "baselines": {arm: arms[arm] for arm in list(arms)[3:]},
        "scales": _scales(proxies, ladder, top),
        "weights": chosen,
        "intervals": {name: [max(0.0, 0.8 * chosen[name] - 0.01), min(1.0, 1.2 * chosen[name] + 0.01)]
                      for name in names},
        "limits": limits, "groups": {"words": group} if wins else {}, "binding": [capped, floored] if wins else [],
        "natural": arms["natural"], "uniform": arms["uniform"],
        "epochs": {name: chosen[name] / arms["natural"][name] * 0.8 for name in names},
        "unconstrained": _free(chosen, capped, floored),
        "predicted": {arm: _predicted(run, weights, target, top) for arm, weights in arms.items()},
        "measured": measured,
        "verdict": {"wins": wins, "text": text, "against": {
            arm: {"gain": gain, "interval": [gain - 0.006, gain + 0.006]} for arm, gain in gains.items()}},
        "surrogate": {"kind": "stack", "spearman": 0.97, "coverage": 0.92, "cross_validation": [
            _cross(run, row, target) for row in proxies if row["kind"] == "proxy"]},
        "slices": {name: _slice(chosen, name, target, top) for name in names},
        "price": _price(measured, checks, wins, target),
        "swaps": {name: {"change": 0.002 * n - 0.003, "interval": [0.002 * n - 0.006, 0.002 * n]}
                  for n, name in enumerate(names)},
        "shadow_prices": [
            {"source": capped, "side": "high", "limit": limits[capped][1], "relaxed": 1.1 * limits[capped][1],
             "gain": 0.011},
            {"source": floored, "side": "low", "limit": limits[floored][0], "relaxed": 0.9 * limits[floored][0],
             "gain": 0.002},
        ] if wins else [],
        "ladder": _ladder(run, ladder, arms, target, top) if top else None,
        "learning": _learning(measured["chosen"]["target"]),
        "pareto": _pareto(target, chosen, top) if top else None,
        "batches": _batches() if top else [],
        "ternary": _ternary(target, chosen, top),
    }  # fmt: skip


def _scales(proxies: Sequence[Any], ladder: Sequence[Any], top: int) -> dict[str, Any]:
    def size(rung: int, runs: int) -> dict[str, int]:
        return {"parameters": PROXY_PARAMETERS * 4**rung, "tokens": PROXY_TOKENS * 4**rung, "runs": runs}

    return {
        "proxies": size(0, len(proxies)),
        "ladder": [size(rung, sum(row["rung"] == rung - 1 for row in ladder)) for rung in range(1, top + 1)],
        "check": size(top, 2), "predicted": top - 1 if top else "proxies",
    }  # fmt: skip


def _free(chosen: Weights, capped: str, floored: str) -> dict[str, float]:
    moved = dict(chosen) | {capped: 1.15 * chosen[capped], floored: 0.0}
    return {name: weight / sum(moved.values()) for name, weight in moved.items()}


def _measured(rows: Sequence[Any], target: Weights) -> dict[str, Any]:
    runs = [target_loss(row["losses"], target) for row in rows]
    mean = sum(runs) / len(runs)
    losses = {name: sum(row["losses"][name] for row in rows) / len(rows) for name in rows[0]["losses"]}
    return {"target": mean, "interval": [mean - 0.005, mean + 0.005], "runs": runs, "losses": losses}


def _told(weights: Weights, target: Weights, rung: int) -> float:
    tokens = PROXY_TOKENS * 4**rung
    return target_loss({name: true_loss(name, weights, tokens, rung) for name in target}, target)


def _predicted(run: Run, weights: Weights, target: Weights, rung: int) -> dict[str, Any]:
    tokens = PROXY_TOKENS * 4**rung
    losses = {name: true_loss(name, weights, tokens, rung) + run.rng.gauss(0, 0.003) for name in weights}
    mean = target_loss(losses, target)
    return {"target": mean, "interval": [mean - 0.009, mean + 0.009], "losses": losses}


def _cross(run: Run, row: Mapping[str, Any], target: Weights) -> dict[str, Any]:
    measured = target_loss(row["losses"], target)
    predicted = measured + run.rng.gauss(0, 0.012)
    return {"run": row["run"], "measured": measured, "predicted": predicted, "low": predicted - 0.02,
            "high": predicted + 0.02}  # fmt: skip


def _slice(chosen: Weights, name: str, target: Weights, rung: int) -> dict[str, list[float]]:
    weight = [0.02 * step for step in range(1, 46)]
    rest = 1 - chosen[name]
    predicted = [
        _told({o: at if o == name else chosen[o] * (1 - at) / rest for o in chosen}, target, rung) for at in weight
    ]
    wide = [0.006 + 0.03 * (at - chosen[name]) ** 2 for at in weight]
    pairs = list(zip(predicted, wide, strict=True))
    low, high = [p - w for p, w in pairs], [p + w for p, w in pairs]
    return {"weight": weight, "predicted": predicted, "low": low, "high": high}


def _price(measured: Mapping[str, Any], checks: Sequence[Any], wins: bool, target: Weights) -> dict[str, Any]:
    budgets = [
        {"budget": row["budget"], "tokens": row["tokens"], "losses": [target_loss(row["losses"], target)]}
        for row in checks
        if row["kind"] == "budget"
    ]
    whole = next(row["tokens"] for row in checks if row["kind"] == "natural")
    budgets.append({"budget": 1.0, "tokens": whole, "losses": measured["natural"]["runs"]})
    budgets.sort(key=lambda entry: entry["budget"])
    if not wins:
        return {"budgets": budgets, "exponent": 0.07, "compute_ratio": None, "interval": None, "extrapolated": False,
                "text": "the mixtures cannot be told apart, so there is no price to give"}  # fmt: skip
    means = [sum(entry["losses"]) / len(entry["losses"]) for entry in budgets]
    budget_logs = np.log([entry["budget"] for entry in budgets])
    ratio = float(np.exp(np.interp(-measured["chosen"]["target"], -np.array(means), budget_logs)))
    return {"budgets": budgets, "exponent": 0.07, "compute_ratio": ratio, "interval": [ratio * 0.86, ratio * 1.19],
            "extrapolated": False, "text": f"the natural mixture needs {ratio:.2f} times the compute"}  # fmt: skip


def _ladder(run: Run, ladder: Sequence[Any], arms: Mapping[str, Weights], target: Weights, top: int) -> dict[str, Any]:
    rungs = []
    for rung in range(1, top + 1):
        rows = [row for row in ladder if row["rung"] == rung - 1]
        slopes = {name: amplitude(name) + run.rng.gauss(0, 0.03) for name in arms["chosen"]}
        points = []
        for row in rows:
            told = _told(row["weights"], target, rung)
            points.append({
                "run": row["run"], "told": _told(row["weights"], target, rung - 1),
                "measured": target_loss(row["losses"], target), "predicted": told, "low": told - 0.012,
                "high": told + 0.012,
            })  # fmt: skip
        rungs.append({
            **_scales([], ladder, top)["ladder"][rung - 1], "slopes": slopes, "spearmans": dict.fromkeys(slopes, 0.9),
            "intervals": {name: [slope - 0.11, slope + 0.11] for name, slope in slopes.items()},
            "spearman": 0.94, "error": 0.0061, "points": points,
        })  # fmt: skip
    risks = dict(zip(list(arms)[1:], (0.04, 0.0003, 0.31, 0.002), strict=False))
    return {"rungs": rungs, "rank_risk": {"rivals": risks}}


def _learning(best: float) -> list[dict[str, Any]]:
    return [
        {"runs": n, "error": 0.15 * n**-0.7, "spearman": None if n == 24 else 1 - 1.2 / n,
         "best": best + 0.8 / n * math.cos(n), "told": "folds" if n == 24 else "others"}
        for n in (8, 12, 16, 24)
    ]  # fmt: skip


def _pareto(target: Weights, chosen: Weights, rung: int) -> dict[str, Any]:
    """From all but the one source to all but the other, the rest as chosen."""
    a, b = list(target)[:2]
    together = chosen[a] + chosen[b]
    front = []
    for part in np.linspace(0.02, 0.98, 13).tolist():
        weights = dict(chosen) | {a: together * part, b: together * (1 - part)}
        tokens = PROXY_TOKENS * 4**rung
        losses = {name: true_loss(name, weights, tokens, rung) for name in (a, b)}
        front.append({"losses": losses, "weights": weights})
    return {"losses": [a, b], "front": front}


def _batches() -> list[dict[str, Any]]:
    return [
        {"runs": 28, "within": 0.61, "improvement": 0.0031, "stop": ""},
        {"runs": 32, "within": 0.88, "improvement": 0.0009, "stop": ""},
        {"runs": 36, "within": 0.962, "improvement": 0.0002, "stop": "within 0.002 of the best with 96 %"},
    ]


def _ternary(target: Weights, chosen: Weights, rung: int) -> dict[str, Any]:
    three = list(target)[:3]
    together = sum(chosen[name] for name in three)
    steps = 15
    points = [
        [together * i / steps, together * j / steps, together * (steps - i - j) / steps]
        for i in range(steps + 1)
        for j in range(steps + 1 - i)
        if j <= 12
    ]
    told = [_told(dict(chosen) | dict(zip(three, point, strict=True)), target, rung) for point in points]
    return {"sources": three, "together": together, "steps": steps, "points": points, "predicted": told,
            "low": [one - 0.01 for one in told], "high": [one + 0.01 for one in told]}  # fmt: skip
