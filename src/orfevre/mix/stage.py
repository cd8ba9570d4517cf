"""Choose the training mixture by measured small runs, check it against two baselines, and price the wrong one.

Reads: tokenize/ (index.json, shards).
Writes: design.json, proxies.jsonl, checks.jsonl, mixture.json.
Resumes: runs found whole in proxies.jsonl and checks.jsonl are kept; only those in flight are trained again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from orfevre import artifact, console, metrics
from orfevre.data import shards
from orfevre.ledger import Tally
from orfevre.mix import allowed, check, mixture, price, proxies
from orfevre.mix.choice import Choice, Problem, check_seeds, choose, problem, proxy_runs
from orfevre.mix.proxies import Bench, Row, Run, TrainOne
from orfevre.model import count
from orfevre.recipe import Recipe


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Raises RecipeError for limits that no mixture keeps, InputError for a target without held-out text."""
    return run_with(recipe, inputs, out, proxies.train_one)


def run_with(recipe: Recipe, inputs: Mapping[str, Path], out: Path, train: TrainOne) -> Tally:
    """`run` with another way to train: tests put a known law in its place."""
    index = shards.read_index(inputs["tokenize"])
    train_tokens = {name: index.sources[name].train.tokens for name in recipe.source_names}
    bench = proxies.bench(recipe, inputs["tokenize"])
    asked = problem(recipe, train_tokens, allowed.of_recipe(recipe, train_tokens), bench.validated)

    runs = proxy_runs(recipe, asked)
    _write(out / "design.json", {"runs": [proxies.described(one) for one in runs]})
    rows = proxies.run_missing(runs, bench, out / "proxies.jsonl", recipe.runner, "proxies", train)
    choice = choose(asked, rows, recipe.mix.confidence, recipe.seed)
    choice = _as_begun(choice, asked, out / "checks.jsonl")
    checks = _check(recipe, asked, choice, bench, out / "checks.jsonl", train)

    table = mixture.mixture_table(recipe, asked, choice, train_tokens)
    parameters = count.parameters(recipe.mix.proxy, recipe.mix.proxy.vocab_size or index.vocab_size).total
    table["scale"] = {"parameters": parameters, "tokens": rows[0]["tokens"], "proxies": len(runs)}
    table |= _findings(recipe, asked, choice, rows, checks)
    _write(out / "mixture.json", table)
    _tell(table)
    return _tally(rows, checks, table)


def _as_begun(choice: Choice, asked: Problem, log: Path) -> Choice:
    """The mixture an interrupted attempt had begun to check, if any: another processor may round the optimum
    otherwise, and runs of two mixtures must not be pooled."""
    begun = [row for row in metrics.read(log) if row.get("kind") == "chosen" and "losses" in row]
    if not begun:
        return choice
    return replace(choice, weights=asked.weights_of(begun[:1])[0])


def _check(recipe: Recipe, asked: Problem, choice: Choice, bench: Bench, log: Path, train: TrainOne) -> list[Row]:
    seeds = check_seeds(recipe)
    mixtures = {
        "chosen": asked.named(choice.weights),
        "natural": asked.named(asked.natural),
        "uniform": asked.named(asked.uniform),
    }
    runs: list[Run] = check.runs(mixtures, seeds)
    runs += price.runs(mixtures["natural"], recipe.mix.price_budgets, seeds)
    return proxies.run_missing(runs, bench, log, recipe.runner, "check runs", train)


def _findings(
    recipe: Recipe, asked: Problem, choice: Choice, rows: Sequence[Row], checks: Sequence[Row]
) -> dict[str, Any]:
    """The part of mixture.json that compares what was predicted, measured and paid."""
    confidence = recipe.mix.confidence
    arms = {arm: [row for row in checks if row["kind"] == arm] for arm in check.ARMS}
    targets = {arm: mixture.target_losses(asked, arms[arm]) for arm in check.ARMS}
    budgets: dict[float, list[Row]] = {1.0: arms["natural"]}
    for row in checks:
        if row["kind"] == "budget":
            budgets.setdefault(row["budget"], []).append(row)
    by_budget = {budget: mixture.target_losses(asked, made) for budget, made in budgets.items()}
    priced = price.price(by_budget, targets["chosen"], check.noise(targets), confidence, recipe.seed)
    return {
        "predicted": mixture.predicted_table(asked, choice, confidence),
        "measured": mixture.measured_table(asked, arms, confidence),
        "verdict": mixture.verdict_table(check.judge(targets, confidence)),
        "surrogate": mixture.surrogate_table(asked, choice, rows, confidence),
        "slices": mixture.slices_table(asked, choice, confidence),
        "price": mixture.price_table(asked, budgets, priced),
        **mixture.sensitivity_table(asked, choice, confidence, recipe.seed),
    }


def _tell(table: Mapping[str, Any]) -> None:
    shares = sorted(table["weights"].items(), key=lambda pair: -pair[1])
    console.say("mixture: " + ", ".join(f"{name} {100 * weight:.1f} %" for name, weight in shares))
    console.say(f"{table['verdict']['text']} {table['price']['text']}")


def _tally(rows: Sequence[Row], checks: Sequence[Row], table: Mapping[str, Any]) -> Tally:
    every = [*rows, *checks]
    return Tally(
        counts={"proxies": len(rows), "checks": len(checks), "tokens": sum(row["tokens"] for row in every)},
        flops=float(np.sum([row["flops"] for row in every])),
        notes={"verdict": table["verdict"]["text"], "price": table["price"]["text"]},
    )


def _write(path: Path, table: Mapping[str, Any]) -> None:
    artifact.write_text(path, json.dumps(table, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
