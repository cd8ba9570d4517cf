"""How runs are trained and measured: one alone, or several of one size as a stack in one process."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orfevre.data import shards
from orfevre.errors import UserError
from orfevre.mix.proxies import Bench, Outcome, Row, Task, budgeted
from orfevre.model import count
from orfevre.recipe import Training

if TYPE_CHECKING:
    from orfevre.data.loader import Loader
    from orfevre.engine.loop import TrainResult
    from orfevre.model.transformer import Transformer


def train_together(tasks: Sequence[Task]) -> list[Outcome]:
    """Train these runs of one bench and one budget on one thread and measure each: bits per byte on each source's
    held-out text. A row for each, or the error of one whose loss was not finite.

    Several are a stack (engine/stacked.py). Raises the UserError of a single one, and one for a shape that cannot be
    stacked.
    """
    import torch

    from orfevre.engine import build

    if any((task.bench, task.run.budget) != (tasks[0].bench, tasks[0].run.budget) for task in tasks):
        raise ValueError("runs of different sizes cannot be trained together")
    torch.set_num_threads(1)
    place = tasks[0].bench
    index, training = shards.read_index(place.tokenize), budgeted(place.training, tasks[0].run.budget)
    models = [build.build(place.shape, index.vocab_size, task.run.seed) for task in tasks]
    loaders = [_loader(task, training) for task in tasks]
    results = _trained(models, loaders, training, index.bos)
    return [
        result if isinstance(result, UserError) else _measured(model, result, place, training)
        for model, result in zip(models, results, strict=True)
    ]


def _trained(
    models: "Sequence[Transformer]", loaders: "Sequence[Loader]", training: Training, bos: int
) -> "list[TrainResult | UserError]":
    from orfevre.engine import loop, stacked

    if len(models) > 1:
        return stacked.train(models, loaders, training, bos=bos)
    return [loop.train(models[0], loaders[0], training, bos=bos)]


def _loader(task: Task, training: Training) -> "Loader":
    from orfevre.data.loader import Loader

    run, place = task.run, task.bench
    weights = {name: weight for name, weight in run.weights.items() if weight > 0}
    read = {name: shards.open_shard(place.tokenize, name, "train") for name in weights}
    return Loader(read, weights, training, run.seed, place.pool_fraction)


def _measured(model: "Transformer", result: "TrainResult", place: Bench, training: Training) -> Row:
    from orfevre.engine import score

    scored = {
        name: score.score_shard(
            model,
            shards.open_shard(place.tokenize, name, "validation"),
            max_tokens=place.validation_tokens,
            sequence_length=training.sequence_length,
        )
        for name in place.validated
    }
    shape = (place.shape, model.vocab_size, training.sequence_length)
    scoring = count.forward_flops_per_token(*shape) * sum(one.tokens for one in scored.values())
    return {
        "tokens": result.tokens,
        "flops": count.flops_per_token(*shape) * result.tokens + scoring,
        "seconds": round(result.seconds, 3),
        "losses": {name: one.bits_per_byte for name, one in scored.items()},
    }
