"""The NumPy twin of text.c: the same words, shingles and signatures, bit for bit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORDS_PER_SHINGLE = 5
WORD_BASE = 0x9E3779B97F4A7C15
WORD_BASE_INVERSE = pow(WORD_BASE, -1, 2**64)
SHINGLE_BASE = np.uint64(0xD6E8FEB86659FD93)
BLOCK = 4096
"""Shingles permuted at once; bounds memory to BLOCK x width x 4 bytes."""


def signatures(
    texts: Sequence[bytes], multiplier: NDArray[np.uint32], addend: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """See `minhash.signatures`."""
    values = np.full((len(texts), len(multiplier)), 0xFFFFFFFF, np.uint32)
    counts = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts):
        found = shingles(text)
        counts[index] = len(found)
        for start in range(0, len(found), BLOCK):
            block = found[start : start + BLOCK, None] * multiplier + addend
            np.minimum(values[index], block.min(axis=0), out=values[index])
    return values, counts


def shingles(text: bytes) -> NDArray[np.uint32]:
    """32-bit hashes of a text's shingles, in order and with repeats."""
    words = word_hashes(text)
    if not len(words):
        return np.zeros(0, np.uint32)
    width = min(len(words), WORDS_PER_SHINGLE)
    total = np.zeros(len(words) - width + 1, np.uint64)
    for place in range(width):
        total = total * SHINGLE_BASE + words[place : place + len(total)]
    return (mix(total) >> np.uint64(32)).astype(np.uint32)


def word_hashes(text: bytes) -> NDArray[np.uint64]:
    """64-bit hash of each word: sum of byte x WORD_BASE ** (bytes left in the word), mixed.

    Sums of byte x WORD_BASE ** -position, taken once over the whole text, give every word's sum by a difference.
    """
    letters = _letter_table()[np.frombuffer(text, np.uint8)]
    inside = np.concatenate(([False], letters != 0, [False]))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return np.zeros(0, np.uint64)
    sums = np.zeros(len(letters) + 1, np.uint64)
    np.cumsum(letters * _powers(WORD_BASE_INVERSE, len(letters)), out=sums[1:])
    return mix((sums[ends] - sums[starts]) * _powers(WORD_BASE, len(letters))[ends - 1])


def mix(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of MurmurHash3."""
    shift = np.uint64(33)
    hashes = (hashes ^ (hashes >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> shift)


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """base ** 0 .. base ** (count - 1), mod 2**64."""
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _letter_table() -> NDArray[np.uint64]:
    """0 for a separator, else the lower-cased byte, for each of 256 bytes."""
    return np.array([_letter(byte) for byte in range(256)], np.uint64)


def _letter(byte: int) -> int:
    if byte >= 128:
        return byte
    return ord(chr(byte).lower()) if chr(byte).isalnum() else 0
