"""What training minimises: cross entropy, the router's load-balancing loss and its z-loss.

Shapes: T tokens, H hidden, V vocabulary, E experts, k experts per token.
"""

from collections.abc import Sequence
from typing import Any

import torch

from . import fused
from .moe import Routing

CHUNK_ELEMENTS = 2**22
"""Logits held at once, about: 8 MiB in bfloat16. With fewer, the products of a large vocabulary are too small."""


def load_balancing(layers: Sequence[Routing], *, pooled: bool = False) -> torch.Tensor:
    """Mean over layers of E x sum over experts of (share of tokens) x (mean probability); k when every layer is even.

    arXiv 2101.03961, eq. 4-6, generalised to top-k; padding is left out. For one layer it is transformers'
    `load_balancing_loss_func`. That function pools the layers before it multiplies, so that one layer's idle expert is
    forgiven for another's busy one; `pooled` does the same, to compare.
    """
    shares_LE, means_LE = (torch.stack(rows) for rows in zip(*(_load(layer) for layer in layers), strict=True))
    if pooled:
        shares_LE, means_LE = shares_LE.mean(0, keepdim=True), means_LE.mean(0, keepdim=True)
    return means_LE.shape[1] * (shares_LE * means_LE).sum(1).mean()


def _load(layer: Routing) -> tuple[torch.Tensor, torch.Tensor]:
    """The share of tokens that each expert got and its mean probability, `[E]` both."""
    weight_T = _mean_weights(layer)
    if weight_T is None:
        return layer.counts() / len(layer.chosen), layer.probabilities.mean(0)
    return layer.counts() * weight_T.amax(), weight_T @ layer.probabilities


def router_z(layers: Sequence[Routing]) -> torch.Tensor:
    """Mean over real tokens and layers of logsumexp(router logits)^2 (arXiv 2202.08906, eq. 5)."""
    means = []
    for layer in layers:
        wide = layer.logits.to(torch.promote_types(layer.logits.dtype, torch.float32))
        squares_T, weight_T = wide.logsumexp(-1).square(), _mean_weights(layer)
        means.append(squares_T.mean() if weight_T is None else weight_T @ squares_T)
    return torch.stack(means).mean()


def _mean_weights(layer: Routing) -> torch.Tensor | None:
    """1 / (real tokens) for a real token, 0 for padding, `[T]` (all 0 when nothing is real); None without padding."""
    if layer.real is None:
        return None
    return layer.real.to(layer.probabilities.dtype) / layer.real.sum().clamp(min=1)


def cross_entropy(x_TH: torch.Tensor, output_VH: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats of softmax(x output^T); all T x V logits are never held at once.

    Gradients are made in the forward pass, while a chunk's logits are still in the cache.
    """
    return _ChunkedCrossEntropy.apply(x_TH, output_VH, targets_T)  # type: ignore[no-untyped-call,no-any-return]


def token_losses(x_TH: torch.Tensor, output_VH: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each token, nats, float32 `[T]`. No gradient."""
    with torch.no_grad():
        losses = []
        for x, targets in zip(_chunks(x_TH, output_VH), _chunks(targets_T, output_VH), strict=True):
            logits = (x @ output_VH.t()).float()
            losses.append(logits.logsumexp(-1) - logits.gather(1, targets[:, None])[:, 0])
        return torch.cat(losses)


def _chunks(rows: torch.Tensor, output_VH: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(rows, max(16, CHUNK_ELEMENTS // len(output_VH)))


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TH: torch.Tensor, output_VH: torch.Tensor, targets_T: torch.Tensor) -> torch.Tensor:
        grad_x, grad_output = torch.empty_like(x_TH), torch.empty_like(output_VH)
        losses_T = torch.empty(len(x_TH), dtype=torch.promote_types(x_TH.dtype, torch.float32), device=x_TH.device)
        pieces = zip(*(_chunks(rows, output_VH) for rows in (x_TH, targets_T, grad_x, losses_T)), strict=True)
        for index, (x, targets, grad, losses) in enumerate(pieces):
            nats, slope = fused.entropy_slope(torch.mm(x, output_VH.t()), targets, 1 / len(x_TH))
            losses.copy_(nats)
            torch.mm(slope, output_VH, out=grad)
            if index:
                grad_output.addmm_(slope.t(), x)
            else:  # saves zeroing it first
                torch.mm(slope.t(), x, out=grad_output)
        ctx.save_for_backward(grad_x, grad_output)
        return losses_T.mean()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_x, grad_output = ctx.saved_tensors
        return grad_x * grad.to(grad_x.dtype), grad_output * grad.to(grad_output.dtype), None
