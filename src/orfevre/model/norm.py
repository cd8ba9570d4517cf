"""RMSNorm (arXiv 1910.07467, eq. 4), the only normalisation of the Mixtral family."""

import torch
from torch import nn

from . import fused


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension; any leading shape, dtype kept."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fused.rms_norm(x, self.weight, self.eps)
