"""Softmax attention over causal positions, within a document and a window.

Shapes: B sequences, N query heads, K key-value heads, S new positions, C = past + S positions seen, D head width.
"""

import torch
from torch.nn import functional as F


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
