"""One block of the decoder, and the block that looks further ahead (multi-token prediction).

Shapes: B sequences, S positions, C = past + S positions seen, T = B x S tokens, H hidden, D head width.
"""

import torch
from torch import nn

from orfevre import recipe

from .attention import Attention, KeyValueCache
from .moe import MixtureOfExperts, Routing
from .norm import RMSNorm


class Block(nn.Module):
    """x + attention(norm(x)), then x + moe(norm(x))."""

    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.attention = Attention(config)
        self.moe_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.moe = MixtureOfExperts(config)

    def forward(
        self,
        x_BSH: torch.Tensor,
        cos_SD: torch.Tensor,
        sin_SD: torch.Tensor,
        cache: KeyValueCache | None = None,
        segments_BC: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Routing]:
        x_BSH = x_BSH + self.attention(self.attention_norm(x_BSH), cos_SD, sin_SD, cache, segments_BC)
        real_T = None if segments_BC is None else (segments_BC[:, -x_BSH.shape[1] :] >= 0).flatten()
        y_TH, routing = self.moe(self.moe_norm(x_BSH).flatten(0, 1), real_T)
        return x_BSH + y_TH.view(x_BSH.shape), routing


class MultiTokenPrediction(nn.Module):
    """One depth of multi-token prediction (DeepSeek-V3, arXiv 2412.19437, eq. 21-23): a block that takes the stream of
    the depth before and the embeddings of the tokens that were to be predicted there, and predicts one token further.

    The embedding and the output projection are the model's own; the norm before the latter is this depth's.
    """

    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.norm_eps
        self.hidden_norm, self.embedding_norm, self.norm = (RMSNorm(size, eps) for _ in range(3))
        self.project = nn.Linear(2 * size, size, bias=False)
        self.block = Block(config)

    def forward(
        self,
        x_BSH: torch.Tensor,
        next_BSH: torch.Tensor,
        cos_SD: torch.Tensor,
        sin_SD: torch.Tensor,
        segments_BS: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, Routing]:
        """The stream of this depth, the same normalised for the output projection, and where its tokens went."""
        both = torch.cat((self.hidden_norm(x_BSH), self.embedding_norm(next_BSH)), dim=-1)
        x_BSH, routing = self.block(self.project(both), cos_SD, sin_SD, None, segments_BS)
        return x_BSH, self.norm(x_BSH), routing
