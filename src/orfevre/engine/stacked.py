"""Train K models of one shape together, each on its own batches, as `loop.train` would have trained them one by one.

Shapes: K models, B sequences, S positions.
"""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from orfevre import recipe
from orfevre.errors import UserError
from orfevre.model.stacked import Stack
from orfevre.model.transformer import Losses, Transformer

from . import allocator, loop, optim
from .documents import split_documents
from .loop import Batches, StepReport, TrainResult


def train(
    models: Sequence[Transformer],
    loaders: Sequence[Batches],
    training: recipe.Training,
    *,
    bos: int | None = None,
    on_step: Callable[[Sequence[StepReport]], None] | None = None,
) -> list[TrainResult | UserError]:
    """Train each model in place on its loader's batches and put it in evaluation mode: what became of each, in order.

    `on_step` sees a report of every model after each step; its seconds, as the results', are a K-th of the time that
    passed. A model whose loss is not finite stays as it was at that step, with the error that `loop.train` raises in
    its place; the others go on. Products are float32. Raises UserError for a shape that cannot be stacked.
    """
    if training.document_mask and bos is None:
        raise ValueError("document_mask needs the id of <s>: give bos")
    if isinstance(training, recipe.Train) and training.dtype != "float32":
        raise ValueError(f"a stack trains in float32, not {training.dtype}")
    allocator.keep_memory()
    stack = Stack(models)
    optimiser = _adamw(stack, training.optim)
    failed: dict[int, UserError] = {}
    reports: list[StepReport] = []
    seconds = 0.0
    for step in range(training.num_steps):
        started = time.perf_counter()
        losses, norms = _step(stack, optimiser, loaders, training, step, bos, failed)
        seconds += (time.perf_counter() - started) / len(models)
        reports = _reports(losses, norms, training, step, seconds)
        if on_step is not None:
            on_step(reports)
        if len(failed) == len(models):
            break
    stack.fill(models)
    del stack, optimiser
    allocator.hand_back()
    for model in models:
        model.eval()
    return [
        failed[index] if index in failed else TrainResult(report.step, report.tokens, report.seconds, report.loss)
        for index, report in enumerate(reports)
    ]


def _step(
    stack: Stack,
    optimiser: optim.AdamW,
    loaders: Sequence[Batches],
    training: recipe.Training,
    step: int,
    bos: int | None,
    failed: dict[int, UserError],
) -> tuple[Losses, list[float]]:
    """One step of every model that has not failed; those that fail now are added to `failed`."""
    losses = _losses(stack, loaders, training, step, bos)
    optimiser.zero_grad()
    losses.total.sum().backward()  # type: ignore[no-untyped-call]
    norms = _gradient_norms(stack)
    for index, total in enumerate(losses.total.tolist()):
        if index not in failed and not (math.isfinite(total) and math.isfinite(norms[index])):
            failed[index] = loop.diverged(step, training, total, norms[index])
    limit = training.optim.grad_clip or math.inf
    scales = [0.0 if each in failed else min(1.0, limit / (norm + 1e-6)) for each, norm in enumerate(norms)]
    _scale_gradients(stack, scales)
    rate = optim.learning_rate(step, training.num_steps, training.optim)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    stack.balance(losses.expert_counts)
    return losses, norms


def _losses(stack: Stack, loaders: Sequence[Batches], training: recipe.Training, step: int, bos: int | None) -> Losses:
    batches = np.stack([loader.batch(step) for loader in loaders])
    batch_KBT = torch.from_numpy(batches).to(stack.cos.device)
    if not training.document_mask or bos is None:
        return stack.losses(batch_KBT[:, :, :-1], batch_KBT[:, :, 1:])
    shape = (*batches.shape[:2], -1)
    return stack.losses(*(each.view(shape) for each in split_documents(batch_KBT.flatten(0, 1), bos)))


def _gradient_norms(stack: Stack) -> list[float]:
    """Root of the sum of squares of each model's gradients, as `AdamW.gradient_norm` sums them."""
    totals = [0.0] * stack.num_models
    for weight in stack.weights.values():
        if weight.grad is not None:
            totals = [total + more for total, more in zip(totals, optim.square_sums(weight.grad), strict=True)]
    return [math.sqrt(total) for total in totals]


def _scale_gradients(stack: Stack, scales: Sequence[float]) -> None:
    """Each model's gradients times its scale; a scale of 0 is for good, whatever the gradient is."""
    if all(scale == 1.0 for scale in scales):
        return
    stopped = [index for index, scale in enumerate(scales) if scale == 0.0]
    for weight in stack.weights.values():
        if weight.grad is not None:
            weight.grad *= torch.tensor(scales, device=weight.device).view(-1, *[1] * (weight.ndim - 1))
            for index in stopped:
                weight.grad[index] = 0.0


def _adamw(stack: Stack, rules: recipe.Optim) -> optim.AdamW:
    """The groups of `optim.adamw`: a matrix of a model has three dimensions here."""
    decayed = [each for name, each in stack.weights.items() if each.ndim > 2 and name != "embedding.weight"]
    spared = [each for name, each in stack.weights.items() if each.ndim <= 2 or name == "embedding.weight"]
    return optim.AdamW(
        [{"params": decayed, "weight_decay": rules.weight_decay}, {"params": spared, "weight_decay": 0.0}],
        [(each, each) for each in stack.weights.values()],
        rules,
    )


def _reports(
    losses: Losses, norms: Sequence[float], training: recipe.Training, step: int, seconds: float
) -> list[StepReport]:
    rate = optim.learning_rate(step, training.num_steps, training.optim)
    columns = (losses.cross_entropy, losses.load_balancing, losses.router_z)
    rows = zip(*(each.tolist() for each in columns), norms, strict=True)
    return [
        StepReport(
            step=step + 1, tokens=(step + 1) * training.tokens_per_step, loss=entropy, aux_loss=balance, z_loss=z,
            grad_norm=norm, learning_rate=rate, seconds=seconds,
        )
        for entropy, balance, z, norm in rows
    ]  # fmt: skip
