"""The C kernels of decoding (decode.c, matmul.c, products.c) by ctypes: their structs, their levels, their calls.

Addresses are plain integers; who calls keeps alive what they point to. The headers give shapes and dtypes.
"""

import ctypes
from functools import cache

from orfevre.kernels import native

FLOAT32, BFLOAT16, INT8, INT4 = range(4)
LEVELS = ("plain", "avx2", "avx512")
"""Instructions, from those of every machine to the best."""
BLOCK_ROWS = 16
"""Rows that lie interleaved in INT8 and INT4 matrices."""
_INT, _POINTER = ctypes.c_int64, ctypes.c_void_p


class Matrix(ctypes.Structure):
    """`matrix` of products.h."""

    _fields_ = (("values", _POINTER), ("rows", _INT), ("columns", _INT), ("format", _INT), ("group", _INT))


class Layer(ctypes.Structure):
    """`layer` of decode.h."""

    _fields_ = (
        *((name, _POINTER) for name in ("attention_norm", "moe_norm", "query_norm", "key_norm", "router_bias")),
        ("keys", _POINTER),
        ("values", _POINTER),
        ("qkv", Matrix),
        ("out", Matrix),
        ("router", Matrix),
        ("w13", ctypes.POINTER(Matrix)),
        ("w2", ctypes.POINTER(Matrix)),
        ("shared_w13", Matrix),
        ("shared_w2", Matrix),
    )


class Model(ctypes.Structure):
    """`model` of decode.h."""

    _fields_ = (
        *((name, _INT) for name in ("hidden", "num_layers", "num_heads", "num_kv_heads", "head_width", "ffn")),
        *((name, _INT) for name in ("num_experts", "num_chosen", "vocab", "capacity", "window", "sigmoid")),
        ("cache_float", _INT),
        ("norm_eps", ctypes.c_double),
        ("cos", _POINTER),
        ("sin", _POINTER),
        ("embedding", Matrix),
        ("norm", _POINTER),
        ("output", Matrix),
        ("layers", ctypes.POINTER(Layer)),
    )


@cache
def library() -> ctypes.CDLL | None:
    """The kernels with their arguments declared, or None where they are not built (or by an older orfevre)."""
    int32, model, matrix = ctypes.c_int32, ctypes.POINTER(Model), ctypes.POINTER(Matrix)
    step = [model, _POINTER, int32, _INT, *[_POINTER] * 3, _INT, *[_POINTER] * 3]
    return native.declared({
        "orfevre_level": (int32, []),
        "orfevre_decode_scratch": (_INT, [model, _POINTER, _INT]),
        "orfevre_decode_step": (None, step),
        "orfevre_matmul_scratch": (_INT, [matrix, _INT]),
        "orfevre_matmul": (None, [matrix, _POINTER, int32, _POINTER, _INT, _POINTER, _POINTER]),
    })  # fmt: skip


def levels() -> tuple[str, ...]:
    """The levels that this machine has; none where the kernels are not built."""
    loaded = library()
    return () if loaded is None else LEVELS[: loaded.orfevre_level() + 1]
