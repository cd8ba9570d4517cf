"""Choose the training mixture by measured small runs, check it against its rivals, and price the wrong one.

Reads: tokenize/ (index.json, shards).
Writes: design.json, proxies.jsonl, ladder.jsonl, checks.jsonl, mixture.json.
Resumes: runs found whole in the .jsonl files are kept; only those in flight are trained again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orfevre import artifact, console, metrics
from orfevre.data import shards
from orfevre.ledger import Tally
from orfevre.mix import allowed, check, findings, mixture, price, proxies, together
from orfevre.mix.choice import Choice, Problem, best_tried, check_seeds, choose, problem
from orfevre.mix.experiment import Experiment, Found
from orfevre.mix.proxies import Bench, Row, Train, TrainOne
from orfevre.recipe import Recipe


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Raises RecipeError for limits that no mixture keeps, InputError for a target without held-out text."""
    return _run(recipe, inputs, out, together.train_together)


def run_with(recipe: Recipe, inputs: Mapping[str, Path], out: Path, train: TrainOne) -> Tally:
    """`run` with another way to train: tests put a known law in its place."""
    return _run(recipe, inputs, out, partial(proxies.one_by_one, train))


def _run(recipe: Recipe, inputs: Mapping[str, Path], out: Path, train: Train) -> Tally:
    index = shards.read_index(inputs["tokenize"])
    train_tokens = {name: index.sources[name].train.tokens for name in recipe.source_names}
    bench = proxies.bench(recipe, inputs["tokenize"])
    checked = proxies.bench(recipe, inputs["tokenize"], recipe.mix.check.model, recipe.mix.check.training)
    asked = problem(recipe, train_tokens, allowed.of_recipe(recipe, train_tokens), bench.validated)

    made = Experiment(recipe, asked, bench, out, train)
    found = made.run()
    choice = choose(asked, found.told, best_tried(asked, found.rows), recipe.mix.confidence, recipe.seed)
    findings.require_ceilings(asked, choice)
    choice = _as_begun(choice, asked, out / "checks.jsonl")
    checks = _check(recipe, asked, choice, checked, out / "checks.jsonl", train)

    table = mixture.mixture_table(recipe, asked, choice, train_tokens)
    table["scales"] = findings.scales(made, found, checked)
    table |= findings.told(recipe, asked, choice, found, table["scales"]["ladder"])
    table |= findings.compared(recipe, asked, checks)
    text = json.dumps(table, indent=1, allow_nan=False, ensure_ascii=False)
    artifact.write_text(out / "mixture.json", text + "\n")
    _tell(table)
    return _tally(found, checks, table)


def _as_begun(choice: Choice, asked: Problem, log: Path) -> Choice:
    """The mixture an interrupted attempt had begun to check, if any: another processor may round the optimum
    otherwise, and runs of two mixtures must not be pooled."""
    begun = [row for row in metrics.read(log) if row.get("kind") == check.CHOSEN and "losses" in row]
    if not begun:
        return choice
    return replace(choice, weights=asked.weights_of(begun[:1])[0])


def _check(recipe: Recipe, asked: Problem, choice: Choice, bench: Bench, log: Path, train: Train) -> list[Row]:
    seeds = check_seeds(recipe)
    arms = {check.CHOSEN: choice.weights, **asked.rivals}
    mixtures = {arm: asked.named(weights) for arm, weights in arms.items()}
    runs = check.runs(mixtures, seeds) + price.runs(mixtures["natural"], recipe.mix.price_budgets, seeds)
    return proxies.run_missing(runs, bench, log, recipe.runner, "check runs", train)


def _tell(table: Mapping[str, Any]) -> None:
    shares = sorted(table["weights"].items(), key=lambda pair: -pair[1])
    console.say("mixture: " + ", ".join(f"{name} {100 * weight:.1f} %" for name, weight in shares))
    console.say(f"{table['verdict']['text']} {table['price']['text']}")


def _tally(found: Found, checks: Sequence[Row], table: Mapping[str, Any]) -> Tally:
    climbed = [row for rows in found.climbed for row in rows]
    every = [*found.rows, *climbed, *checks]
    return Tally(
        counts={
            "proxies": len(found.rows),
            "ladder": len(climbed),
            "checks": len(checks),
            "tokens": sum(row["tokens"] for row in every),
        },
        flops=float(np.sum([row["flops"] for row in every])),
        notes={"verdict": table["verdict"]["text"], "price": table["price"]["text"]},
    )
