"""x times a held matrix: torch for floats, the C kernels for int8 and int4, torch again where they are not built.

Shapes: T tokens, I columns, O rows.
"""

import torch

from orfevre.kernels import decode

from .quantise import Quantised

FORMATS = {torch.float32: decode.FLOAT32, torch.bfloat16: decode.BFLOAT16}


def matrix(weights: torch.Tensor | Quantised | None) -> decode.Matrix:
    """Its address and shape, for C; no rows where there is none. The caller keeps the weights alive."""
    if weights is None:
        return decode.Matrix()
    if isinstance(weights, Quantised):
        kind = decode.INT8 if weights.bits == 8 else decode.INT4
        return decode.Matrix(weights.blocks.data_ptr(), weights.rows, weights.columns, kind, weights.group)
    rows, columns = weights.shape
    return decode.Matrix(weights.data_ptr(), rows, columns, FORMATS[weights.dtype], 0)


def aligned(num_bytes: int) -> torch.Tensor:
    """uint8 `[num_bytes]` that begins on a multiple of 64."""
    room = torch.empty(num_bytes + 64, dtype=torch.uint8)
    start = -room.data_ptr() % 64
    return room[start : start + num_bytes]


def product(x_TI: torch.Tensor, weights: torch.Tensor | Quantised, pool: int | None, level: int) -> torch.Tensor:
    """x times the transposed matrix, float32 `[T, O]`; x is float32. `pool` None does without the C kernels."""
    if isinstance(weights, Quantised):
        return weights.product(x_TI) if pool is None else kernel_product(x_TI, weights, pool, level)
    return torch.mm(x_TI.to(weights.dtype), weights.t()).float()


def kernel_product(x_TI: torch.Tensor, weights: torch.Tensor | Quantised, pool: int, level: int) -> torch.Tensor:
    """The same by the C kernels, for every format."""
    library = decode.library()
    assert library is not None
    x_TI = x_TI.contiguous()
    w, num = matrix(weights), len(x_TI)
    y_TO = torch.empty(num, w.rows)
    scratch = aligned(library.orfevre_matmul_scratch(w, num))
    library.orfevre_matmul(w, pool, level, x_TI.data_ptr(), num, scratch.data_ptr(), y_TO.data_ptr())
    return y_TO
