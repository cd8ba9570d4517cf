"""`orfevre fit`: the surrogate for teams that train elsewhere (propose.py has the design). CSV in, CSV out."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre import artifact, console
from orfevre.errors import InputError
from orfevre.mix import ladder, objective, surrogate
from orfevre.mix.gp import Array
from orfevre.mix.table import Mixtures, Runs, read_mixtures, read_runs
from orfevre.recipe import load_objective

CONFIDENCE = 0.9

Scale = tuple[float, float]
"""Parameters and training tokens."""

Rows = NDArray[np.intp]


def fit(runs_path: Path, candidates: Path | None, out: Path | None, scale: Scale | None) -> None:
    """Fit a stack to each loss, print how well it tells runs it has not seen, and predict `candidates` into `out`."""
    if (candidates is None) != (out is None):
        raise InputError("--out goes with --predict CANDIDATES.csv, and that with it")
    runs = read_runs(runs_path)
    asked = read_mixtures(candidates, runs.mixtures.sources) if candidates else None
    for note in (*runs.mixtures.notes, *(asked.notes if asked else ())):
        console.say(note)
    base, larger = scales(runs, scale, runs_path)
    small = surrogate.fit(runs.weights[base], runs.losses[base], even(runs))
    _print_fit(runs, small, base)
    told: surrogate.Surrogate | ladder.Rung = small
    if larger is not None:
        told = ladder.climb(small, runs.weights[larger], runs.losses[larger])
        console.say(f"bent to {_named(runs.scales[larger][0])} by {told.count} runs there")
    if asked is not None and out is not None:
        artifact.write_text(out, _predicted(asked, runs.targets, told))
        console.result(str(out))


def optimise(runs_path: Path, objective_path: Path, out: Path | None) -> None:
    """Print the best mixture for the objective with its interval and what it hangs on; `out` gets all of it as JSON."""
    asked = load_objective(objective_path)
    runs = read_runs(runs_path)
    for note in runs.mixtures.notes:
        console.say(note)
    base, _ = scales(runs, None, runs_path)
    sources, targets = runs.mixtures.sources, runs.targets
    fitted = surrogate.fit(runs.weights[base], runs.losses[base], objective.target_of(objective_path, asked, targets))
    _print_fit(runs, fitted, base)
    table = objective.best(objective_path, asked, fitted, sources, targets, CONFIDENCE)
    objective.tell(table, CONFIDENCE)
    if out is not None:
        artifact.write_text(out, json.dumps(table, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
        console.result(str(out))


def scales(runs: Runs, scale: Scale | None, path: Path) -> tuple[Rows, Rows | None]:
    """Rows of the scale with the most runs, and rows of the scale asked for where that is another one."""
    kinds, owner, counts = np.unique(runs.scales, axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)
    most = int(np.argmax(counts))
    if len(kinds) > 1:
        console.say(
            "scales: " + ", ".join(f"{count} runs of {_named(kind)}" for kind, count in zip(kinds, counts, strict=True))
        )
    wanted = most if scale is None else _place(kinds, scale, path)
    if wanted != most and counts[wanted] < 2:
        raise InputError(f"{path}: one run of {_named(kinds[wanted])}; two to eight of them tell how losses change")
    base = np.flatnonzero(owner == most)
    return base, None if wanted == most else np.flatnonzero(owner == wanted)


def _place(kinds: Array, scale: Scale, path: Path) -> int:
    found = np.flatnonzero(np.all(kinds == np.array(scale), axis=1))
    if not len(found):
        there = ", ".join(_named(kind) for kind in kinds) if kinds.any() else "no num_params and num_tokens at all"
        raise InputError(
            f"{path}: no run of {_named(np.array(scale))}; it has {there}. Train four to eight mixtures at that scale "
            "(`orfevre design`) and add them, or leave --num-params and --num-tokens out"
        )
    return int(found[0])


def _named(scale: Array) -> str:
    return f"{scale[0]:,.0f} parameters on {scale[1]:,.0f} tokens"


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


def _predicted(asked: Mixtures, targets: Sequence[str], told: surrogate.Surrogate | ladder.Rung) -> str:
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
