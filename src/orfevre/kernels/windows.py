"""Windows of token streams: keyed orders of them, and their tokens; windows.c where it is built, NumPy elsewhere."""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import native

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

ROUNDS = 16
"""With fewer, orders of five or six things are not equally likely (a test counts). As in windows.c."""

GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND, _HALF = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(32)


def permuted(numbers: Ints, sizes: Ints, bases: Ints, keys: Words) -> Ints:
    """Where the order of each key puts each number, int64 [n]; `bases` int64 [2, n] as `permutation.digits` says.

    For one key and size, 0 .. size - 1 go to 0 .. size - 1, each once. orfevre.data.permutation says how.
    """
    if (kernel := _library()) is None:
        made = _network(numbers, bases, keys)
        while len(beyond := np.flatnonzero(made >= sizes)):
            made[beyond] = _network(made[beyond], bases[:, beyond], keys[beyond])
        return made
    held = [np.ascontiguousarray(each, np.int64) for each in (numbers, sizes, bases[0], bases[1])]
    keys, out = np.ascontiguousarray(keys, np.uint64), np.empty(len(numbers), np.int64)
    assert all(len(each) == len(out) for each in (*held, keys))
    kernel.orfevre_permute(*(each.ctypes.data for each in (*held, keys)), len(out), out.ctypes.data)
    return out


def gather(streams: Sequence[NDArray[Any]], sources: Ints, starts: Ints, span: int) -> Ints:
    """int64 [n, span]: ids of streams[sources[i]] from starts[i] on; a stream that ends begins again.

    Streams are of one type, uint16 or uint32, and not empty; starts lie inside them.
    """
    out = np.empty((len(sources), span), np.int64)
    lengths = np.array([len(stream) for stream in streams], np.int64)
    sources, starts = np.ascontiguousarray(sources, np.int64), np.ascontiguousarray(starts, np.int64)
    assert len(starts) == len(sources) and np.all((starts >= 0) & (starts < lengths[sources])), "starts lie inside"
    dtypes = {stream.dtype for stream in streams}
    plain = len(dtypes) == 1 and all(stream.flags.c_contiguous and stream.dtype.isnative for stream in streams)
    kernel = _library() if plain and dtypes <= {np.dtype(np.uint16), np.dtype(np.uint32)} else None
    if kernel is None:
        for row, source, start in zip(out, sources.tolist(), starts.tolist(), strict=True):
            stream = streams[source]
            if start + span <= len(stream):
                row[:] = stream[start : start + span]
            else:
                row[:] = stream[np.arange(start, start + span) % len(stream)]
        return out
    addresses = np.array([stream.ctypes.data for stream in streams], np.uintp)
    kernel.orfevre_gather(
        addresses.ctypes.data, lengths.ctypes.data, sources.ctypes.data, starts.ctypes.data, len(out), span,
        streams[0].dtype.itemsize == 4, out.ctypes.data,
    )  # fmt: skip
    return out


def _network(numbers: Ints, bases: Ints, keys: Words) -> Ints:
    wide, narrow = bases.astype(np.uint64)
    left = numbers.astype(np.uint64) // narrow
    right = numbers.astype(np.uint64) - left * narrow
    for number in range(ROUNDS):
        round_keys = keys + np.uint64((number + 1) * GOLDEN % 2**64)  # wraps modulo 2**64, as meant
        if number % 2:
            right = _added(right, left, narrow, round_keys)
        else:
            left = _added(left, right, wide, round_keys)
    made: Ints = (left * narrow + right).astype(np.int64)
    return made


def _added(digit: Words, other: Words, base: Words, keys: Words) -> Words:
    """(digit + hash of the other digit) modulo base, a multiplication in place of a remainder."""
    mixed = (other ^ keys) * _FIRST
    mixed ^= mixed >> _HALF
    mixed *= _SECOND
    mixed >>= _HALF
    mixed *= base
    mixed >>= _HALF
    mixed += digit
    mixed -= base * (mixed >= base)
    return mixed


@cache
def _library() -> ctypes.CDLL | None:
    address, count = ctypes.c_void_p, ctypes.c_int64
    return native.declared({
        "orfevre_permute": (None, [*[address] * 5, count, address]),
        "orfevre_gather": (None, [*[address] * 4, count, count, ctypes.c_int32, address]),
    })  # fmt: skip
