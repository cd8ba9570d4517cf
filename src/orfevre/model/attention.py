"""Causal self-attention with grouped queries (arXiv 2305.13245), rotary positions and a key-value cache.

Shapes: B sequences, S positions, H hidden, N query heads, K key-value heads, D head width, C cached positions.
"""

import torch
from torch import nn

from orfevre import recipe

from . import fused
from .attend import attend
from .norm import RMSNorm


def rotary_tables(config: recipe.Model) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of position x frequency, float32 `[context_length, D]` (RoPE, arXiv 2104.09864, eq. 15).

    The frequencies are laid out twice, for the rotate-half convention of Hugging Face checkpoints.
    """
    exponents = torch.arange(0, config.head_width, 2, dtype=torch.float32) / config.head_width
    frequencies = 1.0 / config.rope_theta**exponents
    angles = torch.arange(config.context_length, dtype=torch.float32)[:, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


class KeyValueCache:
    """Keys and values of the positions seen so far, for one layer: room for `size` positions."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.length = 0
        self._kept: torch.Tensor | None = None

    def extend(self, keys_BKSD: torch.Tensor, values_BKSD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add S positions; returns keys and values of all C positions so far, `[B, K, C, D]`."""
        if self._kept is None:
            batch, heads, _, width = keys_BKSD.shape
            self._kept = keys_BKSD.new_empty(2, batch, heads, self.size, width)
        end = self.length + keys_BKSD.shape[2]
        self._kept[0, :, :, self.length : end] = keys_BKSD
        self._kept[1, :, :, self.length : end] = values_BKSD
        self.length = end
        return self._kept[0, :, :, :end], self._kept[1, :, :, :end]


class Attention(nn.Module):
    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads, self.width = config.num_heads, config.num_kv_heads, config.head_width
        # one product for queries, keys and values: rows are N query heads, then K key heads, then K value heads
        rows = (self.num_heads + 2 * self.num_kv_heads) * self.width
        self.qkv = nn.Linear(config.hidden_size, rows, bias=False)
        self.out = nn.Linear(self.num_heads * self.width, config.hidden_size, bias=False)
        self.window = config.sliding_window or None
        if config.qk_norm:
            self.q_norm, self.k_norm = (RMSNorm(self.width, config.norm_eps) for _ in range(2))

    def forward(
        self,
        x_BSH: torch.Tensor,
        cos_SD: torch.Tensor,
        sin_SD: torch.Tensor,
        cache: KeyValueCache | None = None,
        segments_BC: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`[B, S, H]` -> `[B, S, H]`; the tables hold the S positions of x. A cache is extended by them.

        `segments_BC`: the document of every position seen, those in the cache first; attention stays within one.
        """
        batch, length, _ = x_BSH.shape
        q, k, v = self.project(x_BSH, cos_SD, sin_SD)
        past = 0
        if cache is not None:
            past = cache.length
            k, v = cache.extend(k, v)
        mixed = attend(q, k, v, past, segments=segments_BC, window=self.window)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]

    def project(
        self, x_BSH: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries `[B, N, S, D]`, keys and values `[B, K, S, D]`; the first two normalised (qk_norm) and turned."""
        heads = self.qkv(x_BSH).view(*x_BSH.shape[:2], -1, self.width)
        parts = [self.num_heads, self.num_kv_heads, self.num_kv_heads]
        if hasattr(self, "q_norm"):
            queries, keys, values = torch.split(heads, parts, dim=2)
            heads = torch.cat((self.q_norm(queries.contiguous()), self.k_norm(keys.contiguous()), values), dim=2)
        heads = fused.rotate(heads, cos_SD, sin_SD, self.num_heads + self.num_kv_heads)
        queries, keys, values = torch.split(heads, parts, dim=2)
        return queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
