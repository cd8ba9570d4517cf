"""The training loop, shared by proxies, checks and the real run."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from orfevre import recipe
from orfevre.errors import UserError
from orfevre.model.transformer import Losses, Transformer

from . import allocator, optim
from .checkpoint import Checkpoints, Progress
from .documents import split_documents
from .working import Working, working


class Batches(Protocol):
    """What the loop asks of a loader: the same step gives the same batch."""

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """int64 `[batch_sequences, sequence_length + 1]`."""


@dataclass(frozen=True)
class StepReport:
    """One step, after the weights have changed."""

    step: int
    """Steps done, this one included."""
    tokens: int
    loss: float
    """Cross entropy, nats a token."""
    aux_loss: float
    """Load-balancing loss, before its weight; experts_per_token when the load is even."""
    z_loss: float
    grad_norm: float
    """Before clipping."""
    learning_rate: float
    seconds: float
    """In steps so far, earlier attempts included."""
    mtp_loss: float = 0.0
    """Mean cross entropy of the blocks that look ahead, nats; 0 without them."""


@dataclass(frozen=True)
class TrainResult:
    steps: int
    tokens: int
    seconds: float
    final_loss: float
    """Cross entropy of the last step, nats a token."""


def train(
    model: Transformer,
    loader: Batches,
    training: recipe.Training,
    *,
    on_step: Callable[[StepReport], None] | None = None,
    checkpoints: Checkpoints | None = None,
    bos: int | None = None,
) -> TrainResult:
    """Train `model` in place for `training.num_steps` steps and put it in evaluation mode.

    With `checkpoints`, goes on from the newest one and writes one at the end at least; `on_step` has then seen every
    step up to it. A `recipe.Train` may ask for bfloat16 products. `bos`, the id of `<s>`, is what `document_mask` tells
    documents apart by. Raises UserError when the loss is not finite.
    """
    if training.document_mask and bos is None:
        raise ValueError("document_mask needs the id of <s>: give bos")
    allocator.keep_memory()
    progress, newest = Progress(), checkpoints.newest() if checkpoints else None
    optimiser = optim.adamw(model, training.optim)
    if checkpoints is not None and newest is not None:
        progress = checkpoints.load(newest, model, optimiser)
    running = working(model, _dtype(training))
    optimiser.follow(running.pairs)
    model.train()
    running.model.train()
    saved = time.monotonic()
    while progress.step < training.num_steps:
        started = time.perf_counter()
        report = _step(running, optimiser, loader, training, progress.step, bos)
        progress = Progress(
            progress.step + 1,
            progress.tokens + training.tokens_per_step,
            progress.seconds + time.perf_counter() - started,
            report["loss"],
        )
        if on_step is not None:
            on_step(StepReport(step=progress.step, tokens=progress.tokens, seconds=progress.seconds, **report))
        if checkpoints is not None and (
            progress.step == training.num_steps or time.monotonic() - saved >= 60 * checkpoints.minutes
        ):
            checkpoints.save(model, optimiser, progress)
            saved = time.monotonic()
    model.eval()
    del running, optimiser
    allocator.hand_back()
    return TrainResult(progress.step, progress.tokens, progress.seconds, progress.loss)


def _step(
    running: Working,
    optimiser: optim.AdamW,
    loader: Batches,
    training: recipe.Training,
    step: int,
    bos: int | None,
) -> dict[str, Any]:
    model = running.model
    batch = torch.from_numpy(loader.batch(step)).to(model.embedding.weight.device)
    if training.document_mask and bos is not None:
        losses: Losses = model.losses(*split_documents(batch, bos))
    else:
        losses = model.losses(batch[:, :-1], batch[:, 1:])
    optimiser.zero_grad()
    total = float(losses.total.detach())
    losses.total.backward()  # type: ignore[no-untyped-call]
    grad_norm = optimiser.gradient_norm()
    if not (math.isfinite(total) and math.isfinite(grad_norm)):
        raise diverged(step, training, total, grad_norm)
    rate = optim.learning_rate(step, training.num_steps, training.optim)
    for group in optimiser.param_groups:
        group["lr"] = rate
    limit = training.optim.grad_clip or math.inf
    optimiser.step(scale=min(1.0, limit / (grad_norm + 1e-6)))  # as torch.nn.utils.clip_grad_norm_
    model.balance(losses.expert_counts)
    return {
        "loss": float(losses.cross_entropy),
        "aux_loss": float(losses.load_balancing),
        "z_loss": float(losses.router_z),
        "mtp_loss": float(losses.mtp),
        "grad_norm": grad_norm,
        "learning_rate": rate,
    }


def diverged(step: int, training: recipe.Training, total: float, grad_norm: float) -> UserError:
    """What to say when the loss or the gradient of step `step`, counted from 0, is not finite."""
    return UserError(
        f"training stopped at step {step + 1} of {training.num_steps}: loss {total:g}, gradient norm "
        f"{grad_norm:g}. Lower optim.learning_rate (now {training.optim.learning_rate:g}), lengthen "
        f"optim.warmup_fraction (now {training.optim.warmup_fraction:g}) or keep optim.grad_clip at 1"
    )


def _dtype(training: recipe.Training) -> torch.dtype:
    """Of matrix products: proxies, whose section has no dtype, run in float32."""
    wanted = training.dtype if isinstance(training, recipe.Train) else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32
