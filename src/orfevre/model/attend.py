"""Softmax attention over causal positions.

Shapes: B sequences, N query heads, K key-value heads, S new positions, C = past + S positions seen, D head width.
"""

import torch
from torch.nn import functional as F


def attend(q_BNSD: torch.Tensor, k_BKCD: torch.Tensor, v_BKCD: torch.Tensor, past: int) -> torch.Tensor:
    """softmax(q k^T / sqrt(D)) v, `[B, N, S, D]`; query i sees keys up to past + i."""
    length = q_BNSD.shape[2]
    if past and length > 1:
        seen = torch.ones(length, past + length, dtype=torch.bool, device=q_BNSD.device).tril(past)
        return F.scaled_dot_product_attention(q_BNSD, k_BKCD, v_BKCD, attn_mask=seen, enable_gqa=True)
    return F.scaled_dot_product_attention(q_BNSD, k_BKCD, v_BKCD, is_causal=not past, enable_gqa=True)
