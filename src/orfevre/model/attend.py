"""Softmax attention over causal positions, within a document and a window.

Shapes: B sequences, N query heads, K key-value heads, S new positions, C = past + S positions seen, D head width.
"""

import ctypes
from typing import Any

import torch
from torch.nn import functional as F

from orfevre.kernels import train as kernels


def attend(
    q_BNSD: torch.Tensor,
    k_BKCD: torch.Tensor,
    v_BKCD: torch.Tensor,
    past: int,
    *,
    segments: torch.Tensor | None = None,
    window: int | None = None,
) -> torch.Tensor:
    """softmax(q k^T / sqrt(D)) v, `[B, N, S, D]`; query i, at position p = past + i, sees keys up to p.

    `segments` (int64 `[B, C]`, the document of each of the C positions): of those, only keys of its own document.
    `window`: of those, only the last `window`, its own position included; None for all.
    """
    length, seen = q_BNSD.shape[2], k_BKCD.shape[2]
    if q_BNSD.requires_grad and torch.is_grad_enabled() and not past and _supported(q_BNSD, k_BKCD, v_BKCD):
        return _Attend.apply(q_BNSD, k_BKCD, v_BKCD, segments, window or 0)  # type: ignore[no-untyped-call,no-any-return]
    narrow = window is not None and window < seen
    if segments is None and not narrow and (not past or length == 1):
        return F.scaled_dot_product_attention(q_BNSD, k_BKCD, v_BKCD, is_causal=not past, enable_gqa=True)
    mask = visible(length, past, segments=segments, window=window, device=q_BNSD.device)
    return F.scaled_dot_product_attention(q_BNSD, k_BKCD, v_BKCD, attn_mask=mask, enable_gqa=True)


def visible(
    length: int,
    past: int,
    *,
    segments: torch.Tensor | None = None,
    window: int | None = None,
    device: torch.device | None = None,
) -> torch.Tensor:
    """Which keys each query sees, bool `[S, C]`, or `[B, 1, S, C]` with segments. A query always sees itself."""
    ahead_SC = torch.arange(past, past + length, device=device)[:, None] - torch.arange(past + length, device=device)
    seen = ahead_SC >= 0
    if window is not None:
        seen &= ahead_SC < window
    if segments is None:
        return seen
    return seen & (segments[:, None, past:, None] == segments[:, None, None, :])


def _supported(q_BNSD: torch.Tensor, k_BKCD: torch.Tensor, v_BKCD: torch.Tensor) -> bool:
    """Whether the C kernels can take these: on the CPU, of one dtype that this machine has them for, even widths."""
    kinds = {(each.device.type, each.dtype) for each in (q_BNSD, k_BKCD, v_BKCD)}
    if torch.compiler.is_compiling() or len(kinds) > 1 or q_BNSD.device.type != "cpu":
        return False
    if q_BNSD.dtype not in (torch.float32, torch.bfloat16) or q_BNSD.shape[3] % 2 or v_BKCD.shape != k_BKCD.shape:
        return False
    if q_BNSD.shape[2] != k_BKCD.shape[2]:
        return False
    library = kernels.library()
    return library is not None and bool(library.orfevre_attend_supported(int(q_BNSD.dtype == torch.bfloat16)))


class _Attend(torch.autograd.Function):
    """attend.c: scores stay in the cache, those above the diagonal are not computed, and the backward pass makes the
    weights again from each query's log-sum-exp (arXiv 2205.14135)."""

    @staticmethod
    def forward(
        ctx: Any,
        q_BNSD: torch.Tensor,
        k_BKSD: torch.Tensor,
        v_BKSD: torch.Tensor,
        segments: torch.Tensor | None,
        window: int,
    ) -> torch.Tensor:
        q_BNSD, k_BKSD, v_BKSD = (_dense_heads(each) for each in (q_BNSD, k_BKSD, v_BKSD))
        if k_BKSD.stride() != v_BKSD.stride():
            k_BKSD, v_BKSD = k_BKSD.contiguous(), v_BKSD.contiguous()
        out_BNSD = _like_heads(q_BNSD)
        logarithms = torch.empty(q_BNSD.shape[:3], dtype=torch.float32)
        padded = None if segments is None else _padded(segments)
        call = _call(q_BNSD, k_BKSD, v_BKSD, out_BNSD, logarithms, padded, window)
        kernels.library().orfevre_attend(ctypes.byref(call))  # type: ignore[union-attr]
        ctx.save_for_backward(q_BNSD, k_BKSD, v_BKSD, out_BNSD, logarithms, padded)
        ctx.window = window
        return out_BNSD

    @staticmethod
    def backward(ctx: Any, grad_BNSD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q_BNSD, k_BKSD, v_BKSD, out_BNSD, logarithms, padded = ctx.saved_tensors
        grad_BNSD = grad_BNSD.to(q_BNSD.dtype).transpose(1, 2).contiguous().transpose(1, 2)
        grads = tuple(_like_heads(each) for each in (q_BNSD, k_BKSD, v_BKSD))
        call = _call(q_BNSD, k_BKSD, v_BKSD, out_BNSD, logarithms, padded, ctx.window)
        call.grad_out = grad_BNSD.data_ptr()
        call.grad_q, call.grad_k, call.grad_v = (each.data_ptr() for each in grads)
        call.grad_q_at, call.grad_kv_at = _strides(grads[0]), _strides(grads[1])
        kernels.library().orfevre_attend_backward(ctypes.byref(call))  # type: ignore[union-attr]
        return *grads, None, None


def _call(
    q_BNSD: torch.Tensor,
    k_BKSD: torch.Tensor,
    v_BKSD: torch.Tensor,
    out_BNSD: torch.Tensor,
    logarithms: torch.Tensor,
    segments: torch.Tensor | None,
    window: int,
) -> kernels.Attention:
    sequences, heads, length, width = q_BNSD.shape
    return kernels.Attention(
        q=q_BNSD.data_ptr(), k=k_BKSD.data_ptr(), v=v_BKSD.data_ptr(), out=out_BNSD.data_ptr(),
        logarithms=logarithms.data_ptr(), segments=0 if segments is None else segments.data_ptr(),
        q_at=_strides(q_BNSD), kv_at=_strides(k_BKSD), out_at=_strides(out_BNSD),
        sequences=sequences, heads=heads, kv_heads=k_BKSD.shape[1], length=length, width=width, window=window,
        scale=width**-0.5, half=int(q_BNSD.dtype == torch.bfloat16), threads=torch.get_num_threads(),
    )  # fmt: skip


def _strides(x_BNSD: torch.Tensor) -> kernels.Strides:
    return kernels.Strides(*x_BNSD.stride()[:3])


def _dense_heads(x_BNSD: torch.Tensor) -> torch.Tensor:
    return x_BNSD if x_BNSD.stride(3) == 1 else x_BNSD.contiguous()


def _like_heads(x_BNSD: torch.Tensor) -> torch.Tensor:
    """Of the same shape, but the heads of a position lie side by side, as the output projection reads them."""
    batch, heads, length, width = x_BNSD.shape
    return x_BNSD.new_empty(batch, length, heads, width).transpose(1, 2)


def _padded(segments_BS: torch.Tensor) -> torch.Tensor:
    """int32, filled up to whole blocks with a segment of its own."""
    return F.pad(segments_BS.int(), (0, -segments_BS.shape[1] % kernels.ATTENTION_BLOCK), value=-2).contiguous()
