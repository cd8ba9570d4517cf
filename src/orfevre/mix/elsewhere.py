"""`orfevre fit`: the surrogate for teams that train elsewhere (propose.py has the design). CSV in, CSV out."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orfevre import artifact, console
from orfevre.errors import InputError
from orfevre.mix import objective, optimum, rank_risk, scales, surrogate
from orfevre.mix.gp import Array
from orfevre.mix.predictor import Predictor
from orfevre.mix.scales import Rows, Scale
from orfevre.mix.table import Mixtures, Runs, read_mixtures, read_runs
from orfevre.recipe import load_objective

CONFIDENCE = 0.9

NEXT = 3
"""Candidates after the best of which the rank risk is said."""


def fit(runs_path: Path, candidates: Path | None, out: Path | None, scale: Scale | None) -> None:
    """Fit a stack to each loss, print how well it tells runs it has not seen, and predict `candidates` into `out`."""
    if (candidates is None) != (out is None):
        raise InputError("--out goes with --predict CANDIDATES.csv, and that with it")
    runs = read_runs(runs_path)
    asked = read_mixtures(candidates, runs.mixtures.sources) if candidates else None
    for note in (*runs.mixtures.notes, *(asked.notes if asked else ())):
        console.say(note)
    base, larger = scales.steps(runs, scale, runs_path)
    small = surrogate.fit(runs.weights[base], runs.losses[base], even(runs))
    _print_fit(runs, small, base)
    told, _ = scales.told(runs, small, larger)
    if asked is not None and out is not None:
        if larger:
            _say_best(asked, told)
        artifact.write_text(out, _predicted(asked, runs.targets, told))
        console.result(str(out))


def optimise(runs_path: Path, objective_path: Path, out: Path | None, scale: Scale | None = None) -> None:
    """Print the best mixture for the objective with its interval and what it hangs on; `out` gets all of it as JSON."""
    asked = load_objective(objective_path)
    runs = read_runs(runs_path)
    for note in runs.mixtures.notes:
        console.say(note)
    base, larger = scales.steps(runs, scale, runs_path)
    sources, targets = runs.mixtures.sources, runs.targets
    small = surrogate.fit(runs.weights[base], runs.losses[base], objective.target_of(objective_path, asked, targets))
    _print_fit(runs, small, base)
    told, rungs = scales.told(runs, small, larger)
    table = objective.best(objective_path, asked, told, sources, targets, CONFIDENCE)
    best = np.array([table["weights"][name] for name in sources])
    natural, limits = objective.limits_of(objective_path, asked, sources)
    rivals = {"the natural mixture" if asked.natural else "the uniform mixture": natural}
    if rungs:
        ceilings = objective.ceilings_of(objective_path, asked, targets)
        rng = np.random.default_rng(len(sources))
        rivals["the best of the smaller scale"] = optimum.minimise(small, limits, natural, rng, ceilings)
    table["rank_risk"] = rank_risk.rivals(told, best, rivals)
    table["slopes"] = [dict(zip(targets, rung.slopes.mean.tolist(), strict=True)) for rung in rungs]
    objective.tell(table, CONFIDENCE)
    scales.say_risk(table["rank_risk"], "this one")
    if out is not None:
        artifact.write_text(out, json.dumps(table, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        console.result(str(out))


def even(runs: Runs) -> Array:
    return np.full(len(runs.targets), 1 / len(runs.targets))


def _print_fit(runs: Runs, fitted: surrogate.Surrogate, rows: Rows) -> None:
    measured, low, high = runs.losses[rows], *fitted.told_losses(CONFIDENCE)
    lines = []
    for column, (name, one) in enumerate(zip(runs.targets, fitted.stacks, strict=True)):
        loss = measured[:, column]
        error = float(np.sqrt(np.mean((one.told - loss) ** 2)))
        rank = surrogate.spearman(one.told, loss)
        held = float(np.mean((low[:, column] <= loss) & (loss <= high[:, column])))
        shares = " ".join(f"{share:.2f}" for share in one.whole.shares)
        lines.append((name, "none" if rank is None else f"{rank:.3f}", f"{error:.4f}", f"{held:.0%}", shares))
    console.say(f"{len(rows)} runs; each loss as told by models that had not seen the run:")
    console.table(("target", "spearman", "error", f"{CONFIDENCE:.0%} intervals hold", "law log-linear process"), lines)


def _say_best(asked: Mixtures, told: Predictor) -> None:
    """The candidate of least mean loss, and how likely the next ones are in truth better."""
    order = np.argsort(told.mean(asked.weights), kind="stable")
    label = asked.header.index("run") if "run" in asked.header else None
    names = [f"candidate {row + 1 if label is None else asked.cells[row][label]}" for row in order[: NEXT + 1]]
    console.say(f"{names[0]} is told to have the least mean loss")
    rivals = {name: asked.weights[row] for name, row in zip(names[1:], order[1:], strict=False)}
    scales.say_risk(rank_risk.rivals(told, asked.weights[order[0]], rivals), "it")


def _predicted(asked: Mixtures, targets: Sequence[str], told: Predictor) -> str:
    losses = told.losses(asked.weights)
    low, high = told.loss_intervals(asked.weights, CONFIDENCE)
    header = [*asked.header, *(f"{part}.{name}" for name in targets for part in ("pred", "lo", "hi"))]
    clash = [name for name in header if header.count(name) > 1]
    if clash:
        raise InputError(f"the candidates already have a column {clash[0]}; rename it")
    figures = np.stack([losses, low, high], axis=2).reshape(len(losses), -1)
    return csv_text(header, [[*given, *cells(row)] for given, row in zip(asked.cells, figures, strict=True)])


def cells(values: Array) -> list[str]:
    return [f"{value:.9g}" for value in values]


def csv_text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
