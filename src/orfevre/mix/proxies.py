"""Small training runs: what one is, how it is trained and measured, and a set of them that survives kill -9."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orfevre import metrics
from orfevre.data import shards
from orfevre.errors import InputError, RecipeError, UserError
from orfevre.ledger import usable_cores
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
    """`proxy`, `repeat`, `batch`, `ladder`, `budget`, or an arm of the check: `chosen`, `natural`, a baseline."""
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
    stack: int = 1
    """Runs trained at once in one process; 0 leaves it to `stack_size`."""


@dataclass(frozen=True)
class Task:
    run: Run
    bench: Bench


Outcome = Row | UserError
"""What a run measured, or why its training stopped."""

TrainOne = Callable[[Task], Row]
Train = Callable[[Sequence[Task]], Sequence[Outcome]]
"""Trains runs of one bench and one budget in one process (together.train_together)."""

STACK = 8
"""Runs of an automatic stack at most: 16 were hardly faster (docs/log.md), and a kill loses all that are in flight."""

STACK_FLOPS = 3e9
"""Of one step of one run, above which products are large enough that a stack gains next to nothing (docs/log.md)."""


def bench(recipe: Recipe, tokenize: Path, shape: Model | None = None, training: Training | None = None) -> Bench:
    """Where runs of one size are trained and measured; the proxies' where no shape and training are given.

    Raises InputError when a target source has no held-out text, RecipeError for a stack of what cannot be stacked.
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
    if recipe.mix.stack > 1 and shape.unstackable:
        raise RecipeError(
            f"mix.stack = {recipe.mix.stack}: models with {shape.unstackable} cannot be trained as a stack; set that "
            "to 0, or mix.stack to 0 or 1"
        )
    fraction = min(1.0, training.tokens / recipe.train.tokens)
    return Bench(tokenize, shape, training, validated, recipe.mix.validation_tokens, fraction, stack=recipe.mix.stack)


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


def budgeted(training: Training, budget: float) -> Training:
    """The same run with `budget` times the tokens, at least one step."""
    tokens = max(round(training.tokens * budget), training.tokens_per_step)
    return training.model_copy(update={"tokens": tokens})


def run_missing(runs: Sequence[Run], place: Bench, log: Path, runner: Runner, label: str, train: Train) -> list[Row]:
    """A row for each run, in the order of `runs`: those that `log` holds are taken, the others trained and added to it
    as they finish. Dearer runs start first, so that the last worker is not left with the longest.

    Raises the UserError of a run whose training stopped, once the rows of those beside it are kept.
    """
    done = finished(runs, log)
    missing = sorted((run for run in runs if run.run not in done), key=lambda run: -run.budget)
    together = groups([Task(run, place) for run in missing], stack_size(place, len(missing), runner))
    sizes = [place.training.tokens * sum(task.run.budget for task in tasks) for tasks in together]
    for position, outcomes in as_finished(train, together, runner, label=label, sizes=sizes, unit="token"):
        for task, outcome in zip(together[position], outcomes, strict=True):
            if not isinstance(outcome, UserError):
                row = described(task.run) | outcome
                metrics.append(log, row)
                done[row["run"]] = row
        for outcome in outcomes:
            if isinstance(outcome, UserError):
                raise outcome
    return [done[run.run] for run in runs]


def one_by_one(train: TrainOne, tasks: Sequence[Task]) -> list[Row]:
    """A `Train` of something that trains one run."""
    return [train(task) for task in tasks]


def groups(tasks: Sequence[Task], most: int) -> list[list[Task]]:
    """The tasks in their order, neighbours of one budget together, at most `most`."""
    found: list[list[Task]] = []
    for task in tasks:
        if found and len(found[-1]) < most and found[-1][0].run.budget == task.run.budget:
            found[-1].append(task)
        else:
            found.append([task])
    return found


def stack_size(place: Bench, num_runs: int, runner: Runner) -> int:
    """Runs to train at once in one process: `place.stack`, or what was measured to be fastest where that is 0.

    Small steps are stacked, for most of their time goes into everything but the products; so that no worker is idle,
    each gets as many stacks as the others, of one size.
    """
    if place.stack:
        return place.stack
    training, vocabulary = place.training, place.shape.vocab_size or vocab_size(place)
    flops = count.flops_per_token(place.shape, vocabulary, training.sequence_length) * training.tokens_per_step
    elsewhere = runner.kind == "ray" and runner.ray.address and not runner.workers  # how many workers is not known
    if flops > STACK_FLOPS or place.shape.unstackable or elsewhere or not num_runs:
        return 1
    workers = 1 if runner.kind == "inline" else runner.workers or usable_cores()
    turns = -(-num_runs // (workers * STACK))
    return -(-num_runs // (workers * turns))


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
