"""The sparse mixture-of-experts layer (arXiv 2401.04088, section 2.1): a router and E SwiGLU experts, k for a token.

Shapes: T tokens, H hidden, F inner width of an expert, E experts, k experts per token, R = T x k rows, one for each
(token, expert) pair, sorted by expert.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from orfevre import recipe


@dataclass(frozen=True)
class Routing:
    """Where one layer sent its tokens; what the router's losses and the expert counts are made from."""

    logits: torch.Tensor
    """`[T, E]`, in the dtype of the products."""
    probabilities: torch.Tensor
    """Softmax over all experts, float32 `[T, E]`."""
    weights: torch.Tensor
    """Probabilities of the chosen experts, scaled to sum to 1, float32 `[T, k]`."""
    chosen: torch.Tensor
    """The chosen experts, int64 `[T, k]`, the likeliest first."""

    def counts(self) -> torch.Tensor:
        """Tokens sent to each expert, int64 `[E]`, summing to T x k."""
        return torch.bincount(self.chosen.flatten(), minlength=self.logits.shape[1])


class MixtureOfExperts(nn.Module):
    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        self.num_chosen = config.experts_per_token
        experts, inner, hidden = config.num_experts, config.ffn_size, config.hidden_size
        self.gate = nn.Linear(hidden, experts, bias=False)
        # Mixtral's w1 (gate) and w3 (up) of an expert lie one above the other, so that one product makes both
        self.w13 = nn.Parameter(torch.empty(experts, 2 * inner, hidden))
        self.w2 = nn.Parameter(torch.empty(experts, hidden, inner))

    def route(self, x_TH: torch.Tensor) -> Routing:
        """Softmax over all experts, keep the top k, renormalise: exactly as MixtralForCausalLM."""
        logits = self.gate(x_TH)
        probabilities = logits.softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        weights, chosen = probabilities.topk(self.num_chosen, dim=-1)
        return Routing(logits, probabilities, weights / weights.sum(dim=-1, keepdim=True), chosen)

    def forward(self, x_TH: torch.Tensor) -> tuple[torch.Tensor, Routing]:
        routing = self.route(x_TH)
        dtype = matmul_dtype(x_TH)
        arguments = (x_TH.to(dtype), self.w13.to(dtype), self.w2.to(dtype), routing.weights, routing.chosen)
        return _Experts.apply(*arguments), routing  # type: ignore[no-untyped-call]

    def forward_naive(self, x_TH: torch.Tensor) -> tuple[torch.Tensor, Routing]:
        """The layer as the paper writes it, token by token: sum of weight x w2(silu(w1 x) * w3 x). The test oracle."""
        routing = self.route(x_TH)
        rows = []
        for x, weights, chosen in zip(x_TH, routing.weights, routing.chosen, strict=True):
            outputs = []
            for weight, expert in zip(weights, chosen, strict=True):
                gate, up = (self.w13[expert] @ x).chunk(2)
                outputs.append(weight * (self.w2[expert] @ (F.silu(gate) * up)))
            rows.append(torch.stack(outputs).sum(0))
        return torch.stack(rows), routing


def matmul_dtype(x: torch.Tensor) -> torch.dtype:
    """The dtype matrix products run in: autocast's where it is on, else that of x."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class _Experts(torch.autograd.Function):
    """Every expert on its own slice of the sorted rows: three matrix products an expert forward, six backward.

    Written by hand because autograd would zero and add a whole `[E, ...]` gradient for each expert's slice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_TH: torch.Tensor,
        w13: torch.Tensor,
        w2: torch.Tensor,
        weights: torch.Tensor,
        chosen: torch.Tensor,
    ) -> torch.Tensor:
        order_R = chosen.flatten().argsort(stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=len(w2)).cumsum(0).tolist()
        token_R = order_R // chosen.shape[1]
        x_RH = x_TH.index_select(0, token_R)
        w1, w3 = w13.chunk(2, dim=1)
        gate, up = _each(x_RH, w1.transpose(1, 2), ends), _each(x_RH, w3.transpose(1, 2), ends)
        y_RH = _each(F.silu(gate).mul_(up), w2.transpose(1, 2), ends)
        weight_R = weights.flatten().index_select(0, order_R).to(x_TH.dtype)
        ctx.save_for_backward(x_RH, gate, up, y_RH, w13, w2, weight_R, order_R, token_R)
        ctx.ends, ctx.shape = ends, chosen.shape
        return _combine(y_RH * weight_R[:, None], order_R, chosen.shape)

    @staticmethod
    def backward(ctx: Any, grad_TH: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_RH, gate, up, y_RH, w13, w2, weight_R, order_R, token_R = ctx.saved_tensors
        grad_RH = grad_TH.to(x_RH.dtype).index_select(0, token_R)
        grad_weight = torch.empty_like(weight_R, dtype=torch.promote_types(weight_R.dtype, torch.float32))
        grad_weight[order_R] = torch.linalg.vecdot(grad_RH, y_RH).to(grad_weight.dtype)
        grad_RH.mul_(weight_R[:, None])

        silu = F.silu(gate)
        grad_w2 = _outer(grad_RH, silu * up, ctx.ends)
        grad_inner = _each(grad_RH, w2, ctx.ends)
        grad_gate = torch.ops.aten.silu_backward(grad_inner * up, gate)
        grad_up = grad_inner.mul_(silu)

        w1, w3 = w13.chunk(2, dim=1)
        grad_x_RH = _each(grad_gate, w1, ctx.ends).add_(_each(grad_up, w3, ctx.ends))
        grad_x = _combine(grad_x_RH, order_R, ctx.shape)
        grad_w13 = torch.cat((_outer(grad_gate, x_RH, ctx.ends), _outer(grad_up, x_RH, ctx.ends)), dim=1)
        return grad_x, grad_w13, grad_w2, grad_weight.view(ctx.shape), None


def _each(x_RI: torch.Tensor, w_EIO: torch.Tensor, ends: list[int]) -> torch.Tensor:
    """Rows of expert e times w[e]: `[R, O]`."""
    y_RO = x_RI.new_empty(len(x_RI), w_EIO.shape[2])
    start = 0
    for w, end in zip(w_EIO.unbind(), ends, strict=True):
        if end > start:
            torch.mm(x_RI[start:end], w, out=y_RO[start:end])
        start = end
    return y_RO


def _outer(a_RO: torch.Tensor, b_RI: torch.Tensor, ends: list[int]) -> torch.Tensor:
    """Gradient of the weights: a[rows of e]^T b[rows of e] for each expert, `[E, O, I]`."""
    grad_EOI = a_RO.new_zeros(len(ends), a_RO.shape[1], b_RI.shape[1])
    start = 0
    for grad, end in zip(grad_EOI.unbind(), ends, strict=True):
        if end > start:
            torch.mm(a_RO[start:end].t(), b_RI[start:end], out=grad)
        start = end
    return grad_EOI


def _combine(rows_RH: torch.Tensor, order_R: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Put sorted rows back in the order of tokens and add the k rows of each token: `[T, H]`."""
    unsorted = torch.empty_like(rows_RH).index_copy_(0, order_R, rows_RH)
    return unsorted.view(*shape, -1).sum(dim=1)
