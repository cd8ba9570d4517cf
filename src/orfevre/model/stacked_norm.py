"""RMSNorm of K models at once: the kernel of `fused`, model by model over slices of one tensor.

Shapes: K models, R rows of each, H hidden.
"""

from typing import Any

import torch
from torch.nn import functional as F

from orfevre.kernels import train as kernels

from . import fused


def rms_norm(x_KRH: torch.Tensor, weight_KH: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x^2) + eps) x weight of its model, over the last dimension."""
    if fused.kernel(x_KRH, weight_KH) is None or weight_KH.dtype != torch.float32:
        return F.rms_norm(x_KRH, weight_KH.shape[1:], None, eps) * weight_KH[:, None]
    return _StackedNorm.apply(x_KRH, weight_KH, eps)  # type: ignore[no-untyped-call,no-any-return]


class _StackedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_KRH: torch.Tensor, weight_KH: torch.Tensor, eps: float) -> torch.Tensor:
        library, (models, rows, width) = fused.kernel(x_KRH), x_KRH.shape
        assert library is not None
        y_KRH, inverse_KR = torch.empty_like(x_KRH), torch.empty(models, rows, dtype=torch.float32)
        places = zip(*(_places(each) for each in (x_KRH, weight_KH, y_KRH, inverse_KR)), strict=True)
        for place in places:
            library.orfevre_rms_norm(*place, rows, width, eps, *fused.flags(x_KRH))
        ctx.save_for_backward(x_KRH, weight_KH, inverse_KR)
        return y_KRH

    @staticmethod
    def backward(ctx: Any, grad_KRH: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_KRH, weight_KH, inverse_KR = ctx.saved_tensors
        library, grad_KRH, (models, rows, width) = kernels.library(), grad_KRH.contiguous(), x_KRH.shape
        assert library is not None
        grad_x_KRH = torch.empty_like(x_KRH)
        partials = torch.empty(models, library.orfevre_rms_norm_blocks(rows), width)
        together = (x_KRH, weight_KH, inverse_KR, grad_KRH, grad_x_KRH, partials)
        for place in zip(*(_places(each) for each in together), strict=True):
            library.orfevre_rms_norm_backward(*place, rows, width, *fused.flags(x_KRH))
        return grad_x_KRH, partials.sum(1), None


def _places(stack: torch.Tensor) -> range:
    """The address of each model's slice of a contiguous tensor."""
    step, start = stack.stride(0) * stack.element_size(), stack.data_ptr()
    return range(start, start + step * len(stack), step)
