"""Hashed n-grams of texts as sparse rows (features.c; features_numpy.py is its twin)."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import features_numpy, native


@dataclass(frozen=True, slots=True)
class Grams:
    """What is counted: tokens (runs of letters, runs of digits), hashed to 2**bits buckets."""

    bits: int
    """1 to 30."""
    pairs: bool = True
    """Pairs of neighbouring tokens too."""
    marks: bool = True
    """Punctuation and line ends are tokens too."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows: text t has buckets `bucket[start[t] : start[t + 1]]`, distinct, in order of first occurrence."""

    bucket: NDArray[np.uint32]
    count: NDArray[np.int32]
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start) - 1


def rows(texts: Sequence[bytes], grams: Grams) -> Rows:
    """The n-grams of UTF-8 texts (any bytes will do)."""
    library = _library()
    if library is None:
        bucket, count, start = features_numpy.rows(texts, grams.bits, grams.pairs, grams.marks)
        return Rows(bucket, count, start)
    offsets = native.offsets(texts)
    room = int(offsets[-1]) * (2 if grams.pairs else 1) + len(texts)
    bucket, count = np.empty(room, np.uint32), np.empty(room, np.int32)
    start = np.empty(len(texts) + 1, np.int64)
    library.orfevre_features(
        b"".join(texts), offsets.ctypes.data, len(texts), grams.bits, grams.pairs, grams.marks,
        bucket.ctypes.data, count.ctypes.data, start.ctypes.data, _places(grams.bits).ctypes.data,
    )  # fmt: skip
    used = int(start[-1])
    return Rows(bucket[:used].copy(), count[:used].copy(), start)


@cache
def _library() -> ctypes.CDLL | None:
    address, count, flag = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    return native.declared({"orfevre_features": (None, [ctypes.c_char_p, address, count, *[flag] * 3, *[address] * 4])})


@cache
def _places(bits: int) -> NDArray[np.int32]:
    """The kernel's scratch, zero between calls; so one thread of a process at a time."""
    return np.zeros(2**bits, np.int32)
