"""The NumPy twin of tokens.c: the same numbers, more slowly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ids = NDArray[np.uint32]
Counts = NDArray[np.int64]


def count_text(text: Bytes, offsets: Counts) -> tuple[Counts, Counts]:
    inside = text > 0x20
    starts = inside.copy()
    starts[1:] &= ~inside[:-1]
    firsts = offsets[:-1][np.diff(offsets) > 0]
    starts[firsts] = inside[firsts]  # a text does not go on with the word before it
    return _sums((text & 0xC0) != 0x80, offsets), _sums(starts, offsets)


def frame(ids: Ids, offsets: Counts, begin: int, end: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    count = len(offsets) - 1
    held = ids[offsets[0] : offsets[-1]]
    out = np.empty(len(held) + 2 * count, dtype)
    begins = offsets[:-1] - offsets[0] + 2 * np.arange(count)
    ends = offsets[1:] - offsets[0] + 2 * np.arange(count) + 1
    plain = np.ones(len(out), np.bool_)
    plain[begins] = plain[ends] = False
    out[plain] = held.astype(dtype)
    out[begins], out[ends] = np.array([begin, end], np.uint32).astype(dtype)
    return out, int(np.bitwise_or.reduce(held)) | (begin | end if count else 0)


def spelled_bytes(ids: Ids, offsets: Counts, sizes: NDArray[np.uint16]) -> Counts:
    padded = np.append(sizes, np.uint16(0))
    return _sums(padded[np.minimum(ids, len(sizes))], offsets)


def _sums(values: NDArray[np.generic], offsets: Counts) -> Counts:
    """Of values[offsets[d] : offsets[d + 1]], int64."""
    running = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    made: Counts = running[offsets[1:]] - running[offsets[:-1]]
    return made
