"""Small training runs: what one is, how it is trained and measured, and a set of them that survives kill -9."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orfevre import metrics
from orfevre.data import shards
from orfevre.errors import InputError
from orfevre.model import count
from orfevre.recipe import Model, Recipe, Runner, Training
from orfevre.runner import as_finished

Row = dict[str, Any]
"""A line of proxies.jsonl or checks.jsonl (docs/reference/artefacts.md)."""


PLAIN = ("proxy", "repeat", "batch", "ladder")
"""Kinds of runs that are all of budget 1."""


@dataclass(frozen=True)
class Run:
    """One small run, before it is run."""

    run: str
    kind: str
    """`proxy`, `repeat`, `batch`, `ladder`, `budget`, or the arm of a check: `chosen`, `natural`, `uniform`, a baseline."""
    weights: Mapping[str, float]
    seed: int
    budget: float = 1.0
    """Multiple of the bench's tokens."""


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    tokenize: Path
    """The finished tokenize folder."""
    shape: Model
    training: Training
    validated: tuple[str, ...]
    """Sources with held-out text: each run is measured on all of them."""
    validation_tokens: int
    pool_fraction: float
    """Share of each source's text that a run may read, so that it repeats a source as often as the target run would
    (arXiv 2606.07597): its tokens over the target run's, at most 1."""


@dataclass(frozen=True)
class Task:
    run: Run
    bench: Bench


TrainOne = Callable[[Task], Row]


def bench(recipe: Recipe, tokenize: Path, shape: Model | None = None, training: Training | None = None) -> Bench:
    """Where runs of one size are trained and measured; the proxies' where no shape and training are given.

    Raises InputError when a target source has no held-out text.
    """
    index = shards.read_index(tokenize)
    validated = tuple(name for name in recipe.source_names if index.sources[name].validation.tokens > 0)
    for name, weight in recipe.target.items():
        if weight > 0 and name not in validated:
            raise InputError(
                f"mix.target.{name} = {weight:g}, but {name} has no held-out text: give it more documents, raise "
                f"curate.validation_fraction, or leave it out of the target"
            )
    shape, training = shape or recipe.mix.proxy, training or recipe.mix.training
    fraction = min(1.0, training.tokens / recipe.train.tokens)
    return Bench(tokenize, shape, training, validated, recipe.mix.validation_tokens, pool_fraction=fraction)


def size(place: Bench) -> dict[str, int]:
    """Parameters and training tokens of a run of budget 1: the scale at which its losses are measured."""
    training = place.training
    return {
        "parameters": count.parameters(place.shape, place.shape.vocab_size or vocab_size(place)).total,
        "tokens": training.num_steps * training.tokens_per_step,
    }


def vocab_size(place: Bench) -> int:
    """Of the tokenizer that made the shards."""
    return shards.read_index(place.tokenize).vocab_size


def train_one(task: Task) -> Row:
    """Train the run on one thread and measure it, bits per byte on each source's held-out text."""
    import torch

    from orfevre.data.loader import Loader
    from orfevre.engine import build, loop, score

    torch.set_num_threads(1)
    run, place = task.run, task.bench
    index = shards.read_index(place.tokenize)
    training = budgeted(place.training, run.budget)
    weights = {name: weight for name, weight in run.weights.items() if weight > 0}
    read = {name: shards.open_shard(place.tokenize, name, "train") for name in weights}
    held_out = {name: shards.open_shard(place.tokenize, name, "validation") for name in place.validated}
    model = build.build(place.shape, index.vocab_size, run.seed)
    loader = Loader(read, weights, training, run.seed, place.pool_fraction)
    result = loop.train(model, loader, training, bos=index.bos)
    scored = {
        name: score.score_shard(
            model, shard, max_tokens=place.validation_tokens, sequence_length=training.sequence_length
        )
        for name, shard in held_out.items()
    }
    shape = (place.shape, place.shape.vocab_size or index.vocab_size, training.sequence_length)
    scoring = count.forward_flops_per_token(*shape) * sum(one.tokens for one in scored.values())
    return {
        "tokens": result.tokens,
        "flops": count.flops_per_token(*shape) * result.tokens + scoring,
        "seconds": round(result.seconds, 3),
        "losses": {name: one.bits_per_byte for name, one in scored.items()},
    }


def budgeted(training: Training, budget: float) -> Training:
    """The same run with `budget` times the tokens, at least one step."""
    tokens = max(round(training.tokens * budget), training.tokens_per_step)
    return training.model_copy(update={"tokens": tokens})


def run_missing(
    runs: Sequence[Run], place: Bench, log: Path, runner: Runner, label: str, train: TrainOne = train_one
) -> list[Row]:
    """A row for each run, in the order of `runs`: those that `log` holds are taken, the others trained and added to it
    as they finish. Dearer runs start first, so that the last worker is not left with the longest.
    """
    done = finished(runs, log)
    missing = sorted((run for run in runs if run.run not in done), key=lambda run: -run.budget)
    tasks = [Task(run, place) for run in missing]
    sizes = [place.training.tokens * run.budget for run in missing]
    for position, measured in as_finished(train, tasks, runner, label=label, sizes=sizes, unit="token"):
        row = described(missing[position]) | measured
        metrics.append(log, row)
        done[row["run"]] = row
    return [done[run.run] for run in runs]


def finished(runs: Sequence[Run], log: Path) -> dict[str, Row]:
    """Rows of `log` that are exactly one of `runs`."""
    wanted = {run.run: described(run) for run in runs}
    rows = {row.get("run", ""): row for row in metrics.read(log)}
    return {
        name: rows[name]
        for name, facts in wanted.items()
        if name in rows and "losses" in rows[name] and all(rows[name].get(key) == value for key, value in facts.items())
    }


def described(run: Run) -> Row:
    row: Row = {"run": run.run, "kind": run.kind, "weights": dict(run.weights), "seed": run.seed}
    return row if run.kind in PLAIN else row | {"budget": run.budget}
