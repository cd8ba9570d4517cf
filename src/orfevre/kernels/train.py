"""The C kernels of training (train.c), with their argument types; addresses are plain integers.

`half` is 1 for bfloat16 and 0 for float32; `threads` is how many threads of OpenMP's team share the work.
"""

import ctypes
from functools import cache

from orfevre.kernels import native

_ADDRESS, _COUNT, _FLAG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float


class AdamWRules(ctypes.Structure):
    """`orfevre_adamw_rules` of train.c. Moments are corrected: correction1 = 1 - beta1^t, 2 = sqrt(1 - beta2^t)."""

    _fields_ = [
        (name, _FLOAT) for name in ("rate", "beta1", "beta2", "eps", "decay", "correction1", "correction2", "scale")
    ]


class Strides(ctypes.Structure):
    """`strides` of attend.c: numbers between sequences, heads and positions."""

    _fields_ = [(name, _COUNT) for name in ("sequence", "head", "position")]


class Attention(ctypes.Structure):
    """`attention` of attend.c. Addresses of what a pass does not use may be left 0."""

    _fields_ = [
        *((name, _ADDRESS) for name in ("q", "k", "v", "out", "logarithms", "segments")),
        *((name, _ADDRESS) for name in ("grad_out", "grad_q", "grad_k", "grad_v")),
        *((name, Strides) for name in ("q_at", "kv_at", "out_at", "grad_q_at", "grad_kv_at")),
        *((name, _COUNT) for name in ("sequences", "heads", "kv_heads", "length", "width", "window")),
        ("scale", _FLOAT),
        ("half", _FLAG),
        ("threads", _FLAG),
    ]


ATTENTION_BLOCK = 64
"""Segments are read in whole blocks of so many positions (BLOCK of attend.c)."""

_SIGNATURES: dict[str, native.Signature] = {
    "orfevre_swiglu": (None, [_ADDRESS] * 3 + [_COUNT] * 2 + [_FLAG] * 2),
    "orfevre_swiglu_backward": (None, [_ADDRESS] * 6 + [_COUNT] * 2 + [_FLAG] * 2),
    "orfevre_gather_sum": (None, [_ADDRESS] * 3 + [_COUNT] * 3 + [_FLAG] * 2),
    "orfevre_rms_norm": (None, [_ADDRESS] * 4 + [_COUNT] * 2 + [_FLOAT] + [_FLAG] * 2),
    "orfevre_rms_norm_blocks": (_COUNT, [_COUNT]),
    "orfevre_rms_norm_backward": (None, [_ADDRESS] * 6 + [_COUNT] * 2 + [_FLAG] * 2),
    "orfevre_rotate": (None, [_ADDRESS] * 4 + [_COUNT] * 5 + [_FLOAT] + [_FLAG] * 2),
    "orfevre_cross_entropy": (None, [_ADDRESS] * 3 + [_COUNT] * 2 + [_FLOAT] + [_FLAG] * 2),
    "orfevre_attend_supported": (_FLAG, [_FLAG]),
    "orfevre_attend": (None, [ctypes.POINTER(Attention)]),
    "orfevre_attend_backward": (None, [ctypes.POINTER(Attention)]),
    "orfevre_adamw": (None, [_ADDRESS] * 5 + [_COUNT, ctypes.POINTER(AdamWRules)] + [_FLAG] * 2),
    "orfevre_square_blocks": (_COUNT, [_COUNT]),
    "orfevre_square_sum": (ctypes.c_double, [_ADDRESS] * 2 + [_COUNT] + [_FLAG] * 2),
}


@cache
def library() -> ctypes.CDLL | None:
    """The library with every kernel of training declared, or None where it was not built."""
    return native.declared(_SIGNATURES)
