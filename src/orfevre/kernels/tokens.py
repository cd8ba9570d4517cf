"""Token ids on their way to a shard, and what a text holds: tokens.c where it is built, its NumPy twin elsewhere."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import native, tokens_numpy

Bytes = NDArray[np.uint8]
Ids = NDArray[np.uint32]
Counts = NDArray[np.int64]


def count_text(text: Bytes, offsets: Counts) -> tuple[Counts, Counts]:
    """Code points and words of each text, int64 `[num_texts]` each; text d is text[offsets[d] : offsets[d + 1]].

    A word is a run of bytes above 0x20: what ASCII white space parts. Scripts written without spaces have few.
    """
    text, offsets = _checked(text, offsets, np.uint8)
    if (kernel := _library()) is None:
        return tokens_numpy.count_text(text, offsets)
    count = len(offsets) - 1
    chars, words = np.empty(count, np.int64), np.empty(count, np.int64)
    kernel.orfevre_count_text(
        text.ctypes.data, offsets.ctypes.data, count, chars.ctypes.data, words.ctypes.data
    )  # fmt: skip
    return chars, words


def frame(ids: Ids, offsets: Counts, begin: int, end: int, dtype: str) -> NDArray[Any]:
    """Each document's ids between `begin` and `end`, one after another: `dtype` (uint16 or uint32) little-endian.

    Raises OverflowError for an id that the type cannot hold.
    """
    ids, offsets = _checked(ids, offsets, np.uint32)
    made = np.dtype(dtype).newbyteorder("<")
    kernel = _library() if made.isnative else None
    if kernel is None:
        out, seen = tokens_numpy.frame(ids, offsets, begin, end, made)
    else:
        out = np.empty(offsets[-1] - offsets[0] + 2 * (len(offsets) - 1), made)
        seen = kernel.orfevre_frame(
            ids.ctypes.data, offsets.ctypes.data, len(offsets) - 1, begin, end, made.itemsize == 4, out.ctypes.data
        )
    if made.itemsize == 2 and seen >= 2**16:
        raise OverflowError(f"a token id does not fit {dtype}")
    return out


def spelled_bytes(ids: Ids, offsets: Counts, sizes: NDArray[np.uint16]) -> Counts:
    """How many bytes each document's ids spell, int64 `[num_documents]`, where id i spells `sizes[i]`."""
    ids, offsets = _checked(ids, offsets, np.uint32)
    if (kernel := _library()) is None:
        return tokens_numpy.spelled_bytes(ids, offsets, sizes)
    made = np.empty(len(offsets) - 1, np.int64)
    kernel.orfevre_spelled_bytes(
        ids.ctypes.data, offsets.ctypes.data, len(made), np.ascontiguousarray(sizes).ctypes.data, len(sizes),
        made.ctypes.data,
    )  # fmt: skip
    return made


def _checked(values: NDArray[Any], offsets: Counts, dtype: Any) -> tuple[NDArray[Any], Counts]:
    """Contiguous, and no offset outside the values: the kernels read what they are told to."""
    offsets = np.ascontiguousarray(offsets, np.int64)
    rising = len(offsets) and offsets[0] >= 0 and offsets[-1] <= len(values) and np.all(offsets[1:] >= offsets[:-1])
    assert rising, "offsets must rise from 0 or more to at most the number of values"
    return np.ascontiguousarray(values, dtype), offsets


@cache
def _library() -> ctypes.CDLL | None:
    address, count, id_type = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
    return native.declared({
        "orfevre_count_text": (None, [address, address, count, address, address]),
        "orfevre_frame": (id_type, [address, address, count, id_type, id_type, ctypes.c_int32, address]),
        "orfevre_spelled_bytes": (None, [address, address, count, address, count, address]),
    })  # fmt: skip
