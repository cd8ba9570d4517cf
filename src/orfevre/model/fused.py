"""What lies between matrix products, in one pass over memory each way: C on a CPU, plain torch elsewhere.

Each function has a twin in torch beside it (`*_plain`), which other devices, other dtypes and machines without a
compiler use, and which the tests hold the kernel to. Inputs are float32 or bfloat16, arithmetic is float32; the twins
also take float64.

Shapes: R rows, T tokens, k rows of a token, F inner width of an expert, H hidden, B sequences, S positions, N heads,
D head width, V vocabulary.
"""

import ctypes
from typing import Any

import torch
from torch.nn import functional as F

from orfevre.kernels import train as kernels


def kernel(*tensors: torch.Tensor) -> ctypes.CDLL | None:
    """The C kernels, when they can take these tensors of one dtype; else None."""
    first = tensors[0]
    if first.dtype not in (torch.float32, torch.bfloat16) or torch.compiler.is_compiling():
        return None
    if any(each.device.type != "cpu" or each.dtype != first.dtype or not each.is_contiguous() for each in tensors):
        return None
    return kernels.library()


def flags(x: torch.Tensor) -> tuple[int, int]:
    """The last two arguments of every kernel: is it bfloat16, and how many threads."""
    return int(x.dtype == torch.bfloat16), torch.get_num_threads()


def wide(x: torch.Tensor) -> torch.Tensor:
    """In float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


# --- SwiGLU of an expert (arXiv 2002.05202, eq. 6), each row weighted by its router ---------------------------------


def swiglu(gate_up_RF: torch.Tensor, weight_R: torch.Tensor) -> torch.Tensor:
    """weight x silu(gate) x up, `[R, F]`; `gate_up_RF` is `[R, 2F]`, gate first; `weight_R` float32."""
    if (library := kernel(gate_up_RF)) is None:
        return swiglu_plain(gate_up_RF, weight_R)
    rows, width = gate_up_RF.shape[0], gate_up_RF.shape[1] // 2
    h_RF = gate_up_RF.new_empty(rows, width)
    library.orfevre_swiglu(
        gate_up_RF.data_ptr(), weight_R.data_ptr(), h_RF.data_ptr(), rows, width, *flags(h_RF)
    )  # fmt: skip
    return h_RF


def swiglu_plain(gate_up_RF: torch.Tensor, weight_R: torch.Tensor) -> torch.Tensor:
    gate, up = wide(gate_up_RF).chunk(2, dim=1)
    return (F.silu(gate) * up * weight_R[:, None]).to(gate_up_RF.dtype)


def swiglu_backward(
    gate_up_RF: torch.Tensor, weight_R: torch.Tensor, grad_RF: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """From the gradient of `swiglu`'s result: that result again, the gradients of `gate_up` and of `weight`.

    `grad_RF` may be overwritten.
    """
    if (library := kernel(gate_up_RF, grad_RF)) is None:
        return swiglu_backward_plain(gate_up_RF, weight_R, grad_RF)
    grad_gate_up, grad_weight = torch.empty_like(gate_up_RF), torch.empty_like(weight_R)
    library.orfevre_swiglu_backward(
        gate_up_RF.data_ptr(), weight_R.data_ptr(), grad_RF.data_ptr(), grad_RF.data_ptr(), grad_gate_up.data_ptr(),
        grad_weight.data_ptr(), *grad_RF.shape, *flags(grad_RF),
    )  # fmt: skip
    return grad_RF, grad_gate_up, grad_weight


def swiglu_backward_plain(
    gate_up_RF: torch.Tensor, weight_R: torch.Tensor, grad_RF: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gate, up = wide(gate_up_RF).chunk(2, dim=1)
    grad, sigmoid = wide(grad_RF), gate.sigmoid()
    silu, weight_R1 = gate * sigmoid, weight_R[:, None]
    grad_weight = (grad * silu * up).sum(1)
    grad = grad * weight_R1
    grad_gate_up = torch.cat((grad * up * sigmoid * (1 + gate - silu), grad * silu), dim=1)
    return (silu * up * weight_R1).to(grad_RF.dtype), grad_gate_up.to(grad_RF.dtype), grad_weight


def gather_sum(rows_RH: torch.Tensor, places_Tk: torch.Tensor) -> torch.Tensor:
    """Sum of the rows at each token's k places, `[T, H]`; places int64."""
    if (library := kernel(rows_RH)) is None:
        return rows_RH.index_select(0, places_Tk.flatten()).view(*places_Tk.shape, -1).sum(dim=1)
    tokens, each = places_Tk.shape
    out_TH = rows_RH.new_empty(tokens, rows_RH.shape[1])
    library.orfevre_gather_sum(
        rows_RH.data_ptr(), places_Tk.data_ptr(), out_TH.data_ptr(), tokens, each, rows_RH.shape[1], *flags(out_TH)
    )
    return out_TH


# --- RMSNorm (arXiv 1910.07467, eq. 4) --------------------------------------------------------------------------------


def rms_norm(x: torch.Tensor, weight_H: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x^2) + eps) x weight over the last dimension, in the dtype of x."""
    if weight_H.dtype != torch.float32 or kernel(x) is None:
        return rms_norm_plain(x, weight_H, eps)
    return _RMSNorm.apply(x, weight_H, eps)  # type: ignore[no-untyped-call,no-any-return]


def rms_norm_plain(x: torch.Tensor, weight_H: torch.Tensor, eps: float) -> torch.Tensor:
    if x.dtype == weight_H.dtype:
        return F.rms_norm(x, weight_H.shape, weight_H, eps)
    return F.rms_norm(wide(x), weight_H.shape, wide(weight_H), eps).to(x.dtype)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight_H: torch.Tensor, eps: float) -> torch.Tensor:
        library = kernel(x)
        assert library is not None
        width, y = x.shape[-1], torch.empty_like(x)
        inverse = torch.empty(x.numel() // width, dtype=torch.float32)
        library.orfevre_rms_norm(
            x.data_ptr(), weight_H.data_ptr(), y.data_ptr(), inverse.data_ptr(), len(inverse), width, eps, *flags(x)
        )
        ctx.save_for_backward(x, weight_H, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight_H, inverse = ctx.saved_tensors
        library, grad = kernels.library(), grad.contiguous()
        assert library is not None
        blocks, width = library.orfevre_rms_norm_blocks(len(inverse)), x.shape[-1]
        grad_x, partials = torch.empty_like(x), torch.empty(blocks, width)
        library.orfevre_rms_norm_backward(
            x.data_ptr(), weight_H.data_ptr(), inverse.data_ptr(), grad.data_ptr(), grad_x.data_ptr(),
            partials.data_ptr(), len(inverse), width, *flags(x),
        )  # fmt: skip
        return grad_x, partials.sum(0), None


# --- rotary positions (arXiv 2104.09864, eq. 34) ----------------------------------------------------------------------


def rotate(x_BSND: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor, num_turned: int) -> torch.Tensor:
    """Turn each pair (x[i], x[i + D/2]) of the first `num_turned` heads by its position's angle; the rest is kept."""
    if cos_SD.dtype != torch.float32 or kernel(x_BSND) is None or not cos_SD.is_contiguous():
        return rotate_plain(x_BSND, cos_SD, sin_SD, num_turned)
    return _Rotate.apply(x_BSND, cos_SD, sin_SD, num_turned)  # type: ignore[no-untyped-call,no-any-return]


def rotate_plain(x_BSND: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor, num_turned: int) -> torch.Tensor:
    turned, kept = torch.split(x_BSND, [num_turned, x_BSND.shape[2] - num_turned], dim=2)
    first, second = turned.chunk(2, dim=-1)
    across = torch.cat((-second, first), dim=-1)
    turned = turned * cos_SD[:, None].to(turned.dtype) + across * sin_SD[:, None].to(turned.dtype)
    return torch.cat((turned, kept), dim=2)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_BSND: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor, num_turned: int
    ) -> torch.Tensor:
        ctx.save_for_backward(cos_SD, sin_SD)
        ctx.num_turned = num_turned
        return _turned(x_BSND, cos_SD, sin_SD, num_turned, 1.0)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        cos_SD, sin_SD = ctx.saved_tensors
        return _turned(grad.contiguous(), cos_SD, sin_SD, ctx.num_turned, -1.0), None, None, None


def _turned(x: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor, num_turned: int, sign: float) -> torch.Tensor:
    library, out = kernel(x), torch.empty_like(x)
    assert library is not None
    batch, positions, heads, width = x.shape
    library.orfevre_rotate(
        x.data_ptr(), cos_SD.data_ptr(), sin_SD.data_ptr(), out.data_ptr(), batch * positions, positions, num_turned,
        heads, width, sign, *flags(x),
    )  # fmt: skip
    return out


# --- cross entropy ----------------------------------------------------------------------------------------------------


def entropy_slope(logits_TV: torch.Tensor, targets_T: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of each row, float32 `[T]`, and scale x (softmax - one hot); logits are overwritten."""
    if (library := kernel(logits_TV)) is None:
        return entropy_slope_plain(logits_TV, targets_T, scale)
    losses_T = torch.empty(len(logits_TV), dtype=torch.float32)
    targets_T = targets_T.contiguous()
    library.orfevre_cross_entropy(
        logits_TV.data_ptr(), targets_T.data_ptr(), losses_T.data_ptr(), *logits_TV.shape, scale, *flags(logits_TV)
    )
    return losses_T, logits_TV


def entropy_slope_plain(
    logits_TV: torch.Tensor, targets_T: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    logarithms, column = wide(logits_TV).log_softmax(dim=1), targets_T[:, None]
    losses_T = -logarithms.gather(1, column)[:, 0]
    slope = logarithms.exp_()
    slope.scatter_add_(1, column, torch.full_like(column, -1, dtype=slope.dtype))
    return losses_T, slope.mul_(scale).to(logits_TV.dtype)
