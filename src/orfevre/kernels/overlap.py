"""Which of an index's word n-grams occur in documents: overlap.c where it is built, its NumPy twin elsewhere."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import folding, native, overlap_numpy

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

BITS_PER_HEAD = 16
"""Of the filter asked before the sorted heads; two of them are set, so that about one lookup in 50 is in vain."""

MAX_BITS = 2**30
"""128 MiB, whatever the number of grams."""


class _Index(ctypes.Structure):
    """`orfevre_overlap_index` of overlap.c."""

    _fields_ = [
        ("gram", ctypes.c_void_p),
        ("head", ctypes.c_void_p),
        ("num_grams", ctypes.c_int64),
        ("num_heads", ctypes.c_int64),
        ("filter", ctypes.c_void_p),
        ("length", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("shift", "head_width", "num_lengths")),
    ]


MAX_WIDTH = 32
"""Words of the longest gram (overlap.c)."""


@dataclass(frozen=True, eq=False)
class Index:
    """n-grams to look for."""

    grams: Hashes
    """uint64 `[num_grams]`, sorted, no two equal: of as many words as one of `lengths` says."""

    heads: Hashes
    """uint64 `[num_heads]`, sorted, no two equal: of the first `head_width` words of each."""

    lengths: tuple[int, ...]
    """Words of a gram, rising from at least `head_width` to at most MAX_WIDTH."""

    head_width: int
    filter: Hashes
    """Of the heads, uint64, a power of two of them."""


def index(grams: Hashes, heads: Hashes, lengths: Sequence[int], head_width: int) -> Index:
    """Sorts the hashes and adds the filter. Raises AssertionError for lengths that do not fit the head."""
    assert list(lengths) == sorted(set(lengths)) and all(1 <= head_width <= each <= MAX_WIDTH for each in lengths)
    grams, heads = np.unique(grams.astype(np.uint64)), np.unique(heads.astype(np.uint64))
    return Index(grams, heads, tuple(lengths), head_width, _filter(heads))


def _filter(hashes: Hashes) -> Hashes:
    """A blocked Bloom filter: in word (hash >> shift) the bits (hash & 63) and (hash >> 6 & 63)."""
    num_bits = 128
    while num_bits < min(BITS_PER_HEAD * len(hashes), MAX_BITS):
        num_bits *= 2
    words = np.zeros(num_bits // 64, np.uint64)
    low, one = np.uint64(63), np.uint64(1)
    places = (hashes >> np.uint64(_shift_of(words))).astype(np.int64)
    np.bitwise_or.at(words, places, one << (hashes & low) | one << (hashes >> np.uint64(6) & low))
    return words


def _shift_of(words: Hashes) -> int:
    """What is left of a 64-bit hash after this shift is a place among the filter's words."""
    return 65 - len(words).bit_length()


def word_hashes(texts: Sequence[bytes]) -> tuple[Hashes, Ints]:
    """Hashes of all texts' words one after another, uint64, and how many each text has, int64 `[num_texts]`."""
    kernel = _library()
    if kernel is None:
        made = [overlap_numpy.word_hashes(text) for text in texts]
        return np.concatenate([np.zeros(0, np.uint64), *made]), np.array([len(each) for each in made], np.int64)
    joined, offsets = b"".join(texts), native.offsets(texts)
    words, counts = np.empty(len(joined) + 2, np.uint64), np.empty(len(texts), np.int64)
    kernel.orfevre_word_hashes(
        joined, offsets.ctypes.data, len(texts), folding.table().ctypes.data, words.ctypes.data, counts.ctypes.data
    )
    return words[: int(counts.sum())].copy(), counts


def find(texts: Sequence[bytes], looked_for: Index) -> tuple[Ints, Ints]:
    """Every occurrence: number of the text and place in `looked_for.grams`, int64 `[num_hits]` each, texts rising."""
    kernel = _library()
    if kernel is None:
        return overlap_numpy.overlap(texts, looked_for.grams, looked_for.lengths)
    joined, offsets = b"".join(texts), native.offsets(texts)
    lengths = np.array(looked_for.lengths, np.int32)
    table = _Index(
        looked_for.grams.ctypes.data, looked_for.heads.ctypes.data, len(looked_for.grams), len(looked_for.heads),
        looked_for.filter.ctypes.data, lengths.ctypes.data, _shift_of(looked_for.filter), looked_for.head_width,
        len(lengths),
    )  # fmt: skip
    room = 65_536
    while True:
        documents, grams = np.empty(room, np.int64), np.empty(room, np.int64)
        count = kernel.orfevre_overlap(
            joined, offsets.ctypes.data, len(texts), folding.table().ctypes.data, ctypes.byref(table),
            documents.ctypes.data, grams.ctypes.data, room,
        )  # fmt: skip
        if count <= room:
            return documents[:count].copy(), grams[:count].copy()
        room = int(count)


@cache
def _library() -> ctypes.CDLL | None:
    address, count = ctypes.c_void_p, ctypes.c_int64
    index = [address, address, count, address, ctypes.POINTER(_Index), address, address, count]
    words = [address, address, count, address, address, address]
    return native.declared({"orfevre_overlap": (count, index), "orfevre_word_hashes": (None, words)})
