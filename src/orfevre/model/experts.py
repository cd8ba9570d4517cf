"""All experts of a layer on sorted rows, forward and backward by hand: the fast path of `MixtureOfExperts`.

Shapes: T tokens, H hidden, F inner width of an expert, E experts, k experts per token, R = T x k rows, one for each
(token, expert) pair, sorted by expert.
"""

from typing import Any

import torch
from torch.nn import functional as F


def run_experts(
    x_TH: torch.Tensor, w13: torch.Tensor, w2: torch.Tensor, weights_Tk: torch.Tensor, chosen_Tk: torch.Tensor
) -> torch.Tensor:
    """Sum over a token's experts of weight x w2(silu(w1 x) * w3 x): `[T, H]` in the dtype of the products.

    `w13` is `[E, 2F, H]` (w1 above w3), `w2` `[E, H, F]`, `weights_Tk` float32, `chosen_Tk` int64.
    """
    dtype = matmul_dtype(x_TH)
    return _Experts.apply(x_TH.to(dtype), w13.to(dtype), w2.to(dtype), weights_Tk, chosen_Tk)  # type: ignore[no-untyped-call,no-any-return]


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
