"""The NumPy twin of features.c: the same tokens, buckets and counts, in the same order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels.minhash_numpy import mix

TOKEN_BASE = 0x9E3779B97F4A7C15
TOKEN_BASE_INVERSE = pow(TOKEN_BASE, -1, 2**64)
PAIR_BASE = np.uint64(0xD6E8FEB86659FD93)
LONGEST_RUN = 8
SPACE, LETTER, DIGIT, MARK = 0, 1, 2, 3
"""Kinds of bytes; a mark's is MARK plus the byte, so that only equal ones make a run."""


def rows(
    texts: Sequence[bytes], bits: int, pairs: bool, marks: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int32], NDArray[np.int64]]:
    """See `features.rows`."""
    kinds, values = _alphabet(marks)
    buckets, counts, start = [np.zeros(0, np.uint32)], [np.zeros(0, np.int32)], [0]
    for text in texts:
        data = np.frombuffer(text, np.uint8)
        hashes = _interleaved(_tokens(kinds[data], values[data]), pairs)
        found, first, count = np.unique(
            (hashes >> np.uint64(64 - bits)).astype(np.uint32), return_index=True, return_counts=True
        )
        order = np.argsort(first, kind="stable")
        buckets.append(found[order])
        counts.append(count[order].astype(np.int32))
        start.append(start[-1] + len(found))
    return np.concatenate(buckets), np.concatenate(counts), np.array(start, np.int64)


def _tokens(kinds: NDArray[np.int16], values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64-bit hash of each token: sum of byte x TOKEN_BASE ** (bytes left in the token), mixed (as in minhash_numpy)."""
    changes = np.flatnonzero(np.diff(kinds, prepend=np.int16(-1), append=np.int16(-1)))
    starts, ends = changes[:-1], changes[1:]
    inside = kinds[starts] != SPACE if len(starts) else np.zeros(0, bool)
    starts, ends = starts[inside], ends[inside]
    if not len(starts):
        return np.zeros(0, np.uint64)
    ends = np.where(kinds[starts] >= MARK, np.minimum(ends, starts + LONGEST_RUN), ends)
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * _powers(TOKEN_BASE_INVERSE, len(values)), out=sums[1:])
    return mix((sums[ends] - sums[starts]) * _powers(TOKEN_BASE, len(values))[ends - 1])


def _interleaved(tokens: NDArray[np.uint64], pairs: bool) -> NDArray[np.uint64]:
    """Tokens, each but the first followed by its pair with the one before."""
    if not pairs or len(tokens) < 2:
        return tokens
    hashes = np.empty(2 * len(tokens) - 1, np.uint64)
    hashes[0], hashes[1::2] = tokens[0], tokens[1:]
    hashes[2::2] = mix(tokens[:-1] * PAIR_BASE + tokens[1:])
    return hashes


def _alphabet(marks: bool) -> tuple[NDArray[np.int16], NDArray[np.uint64]]:
    """Kind and value of each of the 256 bytes."""
    kinds, values = np.zeros(256, np.int16), np.arange(256, dtype=np.uint64)
    for byte in range(256):
        char = chr(byte)
        if byte >= 128 or (char.isascii() and char.isalpha()):
            kinds[byte], values[byte] = LETTER, byte if byte >= 128 else ord(char.lower())
        elif char.isdigit():
            kinds[byte], values[byte] = DIGIT, ord("0")
        elif marks and char not in "\0 \t":
            kinds[byte] = MARK + byte
    return kinds, values


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """base ** 0 .. base ** (count - 1), mod 2**64."""
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)
