"""All experts of a layer on sorted rows, forward and backward by hand: the fast path of `MixtureOfExperts`.

Shapes: T tokens, H hidden, F inner width of an expert, E experts, k experts per token, R = T x k rows, one for each
(token, expert) pair, sorted by expert.
"""

from typing import Any

import torch

from . import fused


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


PADDED_ROWS = 32
"""On average half of it is wasted for each expert."""


class _Experts(torch.autograd.Function):
    """Expert after expert on its own slice of the sorted rows: two matrix products forward, five backward.

    Written by hand because autograd would zero and add a whole `[E, ...]` gradient for each expert's slice. What one
    expert needs between its products lives in memory that the next one uses again, and so stays in the cache: only the
    first product's result is kept for the backward pass. The router's weight multiplies the inner rows, not the outer,
    so that the weight's gradient needs no result of the second product.
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
        token_R, weight_R, places, ends = _sort(weights, chosen, len(w2), _multiple(x_TH))
        gate_up = x_TH.new_empty(len(token_R), w13.shape[1])
        y_RH = x_TH.new_empty(len(token_R), x_TH.shape[1])
        for e, start, end in _busy(ends):
            mine = gate_up[start:end]
            torch.mm(x_TH.index_select(0, token_R[start:end]), w13[e].t(), out=mine)
            torch.mm(fused.swiglu(mine, weight_R[start:end]), w2[e].t(), out=y_RH[start:end])
        ctx.save_for_backward(x_TH, gate_up, w13, w2, weight_R, token_R, places)
        ctx.ends = ends
        return fused.gather_sum(y_RH, places)

    @staticmethod
    def backward(ctx: Any, grad_TH: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_TH, gate_up, w13, w2, weight_R, token_R, places = ctx.saved_tensors
        grad_TH = grad_TH.to(x_TH.dtype)
        grad_w13, grad_w2, grad_weight = torch.empty_like(w13), torch.empty_like(w2), torch.empty_like(weight_R)
        grad_x_RH = x_TH.new_empty(len(token_R), x_TH.shape[1])
        for e, start, end in _busy(ctx.ends):
            tokens = token_R[start:end]
            grad = grad_TH.index_select(0, tokens)
            inner, grad_gate_up, grad_weight[start:end] = fused.swiglu_backward(
                gate_up[start:end], weight_R[start:end], torch.mm(grad, w2[e])
            )
            torch.mm(grad.t(), inner, out=grad_w2[e])
            torch.mm(grad_gate_up, w13[e], out=grad_x_RH[start:end])
            torch.mm(grad_gate_up.t(), x_TH.index_select(0, tokens), out=grad_w13[e])
        for e in _idle(ctx.ends):
            grad_w13[e].zero_()
            grad_w2[e].zero_()
        # the weight of a token's row is where the row is
        return fused.gather_sum(grad_x_RH, places), grad_w13, grad_w2, grad_weight[places], None


def _multiple(x_TH: torch.Tensor) -> int:
    """Experts get a multiple of so many rows: oneDNN, which multiplies bfloat16 on a CPU, compiles a kernel for each
    new number of rows, and that took 0.7 to 0.9 ms beside products of 2 ms (docs/log.md)."""
    return PADDED_ROWS if x_TH.dtype == torch.bfloat16 and x_TH.device.type == "cpu" else 1


def _sort(
    weights_Tk: torch.Tensor, chosen_Tk: torch.Tensor, num_experts: int, multiple: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[int]]:
    """Rows sorted by expert, each expert's filled up to a multiple with rows of token 0 that weigh nothing.

    Token `[R]` and float32 weight `[R]` of each row, the row of each choice `[T, k]`, and where each expert's rows end.
    """
    chosen = chosen_Tk.flatten()
    order = chosen.argsort(stable=True)
    counts_E = torch.bincount(chosen, minlength=num_experts)
    filled_E = (counts_E + multiple - 1) // multiple * multiple
    shifts_E = filled_E.cumsum(0) - filled_E - (counts_E.cumsum(0) - counts_E)
    rows = torch.arange(len(order), device=order.device) + shifts_E[chosen[order]]
    ends: list[int] = filled_E.cumsum(0).tolist()
    token_R, weight_R = order.new_zeros(ends[-1]), weights_Tk.new_zeros(ends[-1])
    token_R[rows] = order // chosen_Tk.shape[1]
    weight_R[rows] = weights_Tk.flatten()[order]
    places = torch.empty_like(order)
    places[order] = rows
    return token_R, weight_R, places.view(chosen_Tk.shape), ends


def _busy(ends: list[int]) -> list[tuple[int, int, int]]:
    """Experts that have rows: their number, first row, and the row after their last."""
    return [(e, start, end) for e, (start, end) in enumerate(zip([0, *ends], ends, strict=False)) if end > start]


def _idle(ends: list[int]) -> list[int]:
    return [e for e, (start, end) in enumerate(zip([0, *ends], ends, strict=False)) if end == start]
