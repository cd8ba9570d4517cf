"""Train the model on the chosen mixture.

Reads: tokenize/ (shards, index.json), mix/mixture.json (weights).
Writes: config.json, checkpoints/step-<n>/, metrics.jsonl, summary.json.
Resumes: from the newest checkpoint; metrics.jsonl is cut back to its step, so that no step appears twice.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from orfevre import artifact, console
from orfevre.data import shards
from orfevre.data.loader import Loader
from orfevre.data.shards import Shard
from orfevre.engine import build, loop, score
from orfevre.engine.checkpoint import Checkpoints
from orfevre.engine.loop import StepReport, TrainResult
from orfevre.errors import InputError
from orfevre.ledger import Tally, usable_cores
from orfevre.model import count
from orfevre.model.transformer import Transformer
from orfevre.recipe import Recipe, Train

from .log import Log


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    torch.set_num_threads(usable_cores())
    tokenized, train = inputs["tokenize"], recipe.phased
    index = shards.read_index(tokenized)
    weights = read_weights(inputs["mix"] / "mixture.json", index)
    read = {name: shards.open_shard(tokenized, name, "train") for name in _read_sources(weights, train, index)}
    loader = Loader(read, weights, train, recipe.seed, phases=train.phases)
    model = build.build(recipe.model, index.vocab_size, recipe.seed)
    flops_per_token = count.flops_per_token(model.config, model.vocab_size, train.sequence_length)
    _write(out / "config.json", model.config.model_dump())

    checkpoints = Checkpoints(out / "checkpoints", train.checkpoint_minutes, train.keep_checkpoints, loader.digest)
    log = Log(out / "metrics.jsonl", flops_per_token, checkpoints.newest_step())
    held_out = {name: shards.open_shard(tokenized, name, "validation") for name in recipe.source_names}
    validation = Validation(held_out, train)
    result = _train(model, loader, train, checkpoints, log, validation, bos=index.bos)

    validated = log.num_validations() * validation.tokens()
    summary = {
        "steps": result.steps,
        "tokens": result.tokens,
        "flops": result.tokens * flops_per_token,
        "final_loss": result.final_loss,
        "epochs": loader.epochs(result.steps),
        "tokens_by_source": loader.tokens_by_source(result.steps),
        "checkpoint": f"checkpoints/step-{result.steps}",
    }
    _write(out / "summary.json", summary)
    # scoring is the forward pass alone, a third of training
    return Tally({"tokens": result.tokens, "steps": result.steps}, (result.tokens + validated / 3) * flops_per_token)


@dataclass(frozen=True)
class Validation:
    """Held-out text measured while training, and when."""

    shards: Mapping[str, Shard]
    train: Train

    def due(self, step: int) -> bool:
        every = self.train.validate_every_steps
        return step == self.train.num_steps or (every > 0 and step % every == 0)

    def measure(self, model: Transformer) -> dict[str, float]:
        """Bits per byte of each source that has held-out text."""
        held_out = {name: shard for name, shard in self.shards.items() if shard.num_documents}
        return score.bits_per_byte(model, held_out, self.train.validation_tokens, self.train.sequence_length)

    def tokens(self) -> int:
        """Tokens read by one validation."""
        most = self.train.validation_tokens
        return sum(int(shard.documents[len(score.first_documents(shard, most))]) for shard in self.shards.values())


def _train(
    model: Transformer,
    loader: Loader,
    train: Train,
    checkpoints: Checkpoints,
    log: Log,
    validation: Validation,
    *,
    bos: int,
) -> TrainResult:
    with console.progress("train", train.num_steps * train.tokens_per_step, "token") as bar:
        bar.skip(log.tokens)

        def on_step(report: StepReport) -> None:
            bar.show(log.step(report))
            bar.advance(train.tokens_per_step)
            if validation.due(report.step):
                log.validation(report.step, validation.measure(model))

        return loop.train(model, loader, train, on_step=on_step, checkpoints=checkpoints, bos=bos)


def read_weights(path: Path, index: shards.Index) -> dict[str, float]:
    """The chosen mixture. Raises InputError if it cannot be read or names a source without shards."""
    try:
        weights = {str(name): float(weight) for name, weight in json.loads(path.read_text())["weights"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error!r}); delete {path.parent} and run again") from None
    if strange := sorted(weights.keys() - index.sources.keys()):
        raise InputError(f"{path}: weight for {strange[0]}, which tokenize made no shards of; run `orfevre run` again")
    return weights


def _read_sources(weights: Mapping[str, float], train: Train, index: shards.Index) -> list[str]:
    """Those that the mixture or a phase reads. Raises InputError for a phase's source without shards."""
    mixtures = [phase.weights for phase in train.phases if phase.weights != "mixture"]
    named = {name for mixture in mixtures for name in mixture}
    if strange := sorted(named - index.sources.keys()):
        raise InputError(
            f"train.phases names {strange[0]!r}, which tokenize made no shards of; the sources are "
            f"{', '.join(sorted(index.sources))}"
        )
    return [name for name in index.sources if any(each.get(name, 0) > 0 for each in (weights, *mixtures))]


def _write(path: Path, table: Mapping[str, object]) -> None:
    artifact.write_text(path, json.dumps(table, indent=1, allow_nan=False))
