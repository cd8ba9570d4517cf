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

BITS_PER_GRAM = 32
"""Of the bitmap asked before the sorted hashes: about one lookup in 32 is in vain."""

MAX_BITS = 2**30
"""128 MiB, whatever the number of grams."""


class _Index(ctypes.Structure):
    """`orfevre_overlap_index` of overlap.c."""

    _fields_ = [
        ("gram", ctypes.c_void_p),
        ("num_grams", ctypes.c_int64),
        ("bits", ctypes.c_void_p),
        ("anchor_bits", ctypes.c_void_p),
        ("length", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("shift", "anchor_shift", "width", "num_lengths")),
    ]


@dataclass(frozen=True, eq=False)
class Index:
    """n-grams to look for."""

    grams: Hashes
    """uint64 `[num_grams]`, sorted, no two equal: of `width` words, and of each of `lengths` words."""

    anchors: Hashes
    """uint64: of the first lengths[0] words of each gram that is shorter than `width`."""

    width: int
    lengths: tuple[int, ...]
    """Fewer words than `width`, rising."""

    bits: Hashes
    anchor_bits: Hashes


def index(grams: Hashes, anchors: Hashes, width: int, lengths: Sequence[int]) -> Index:
    """Sorts the hashes and adds bitmaps. Raises AssertionError for lengths that do not rise below `width`."""
    assert 1 <= width <= 32 and list(lengths) == sorted(set(lengths)) and all(1 <= each < width for each in lengths)
    unique = np.unique(grams.astype(np.uint64))
    anchors = np.unique(anchors.astype(np.uint64))
    return Index(unique, anchors, width, tuple(lengths), bitmap(unique), bitmap(anchors))


def bitmap(hashes: Hashes) -> Hashes:
    """uint64 words with the bit (hash >> shift) of every hash set; a power of two of at least 64 bits."""
    num_bits = 64
    while num_bits < min(BITS_PER_GRAM * len(hashes), MAX_BITS):
        num_bits *= 2
    bits = np.zeros(num_bits // 64, np.uint64)
    places = hashes >> np.uint64(shift_of(bits))
    np.bitwise_or.at(bits, (places >> np.uint64(6)).astype(np.int64), np.uint64(1) << (places & np.uint64(63)))
    return bits


def shift_of(bits: Hashes) -> int:
    return 64 - (64 * len(bits)).bit_length() + 1


def word_hashes(texts: Sequence[bytes]) -> tuple[Hashes, Ints]:
    """Hashes of all texts' words one after another, uint64, and how many each text has, int64 `[num_texts]`."""
    kernel = _library()
    if kernel is None:
        made = [overlap_numpy.word_hashes(text) for text in texts]
        return np.concatenate([np.zeros(0, np.uint64), *made]), np.array([len(each) for each in made], np.int64)
    joined, offsets = _joined(texts)
    words, counts = np.empty(len(joined) + 2, np.uint64), np.empty(len(texts), np.int64)
    kernel.orfevre_word_hashes(
        joined, offsets.ctypes.data, len(texts), folding.table().ctypes.data, words.ctypes.data, counts.ctypes.data
    )
    return words[: int(counts.sum())].copy(), counts


def find(texts: Sequence[bytes], looked_for: Index) -> tuple[Ints, Ints]:
    """Every occurrence: number of the text and place in `looked_for.grams`, int64 `[num_hits]` each, texts rising."""
    kernel = _library()
    if kernel is None:
        return overlap_numpy.overlap(texts, looked_for.grams, looked_for.width, looked_for.lengths)
    joined, offsets = _joined(texts)
    lengths = np.array(looked_for.lengths, np.int32)
    table = _Index(
        looked_for.grams.ctypes.data, len(looked_for.grams), looked_for.bits.ctypes.data,
        looked_for.anchor_bits.ctypes.data, lengths.ctypes.data, shift_of(looked_for.bits),
        shift_of(looked_for.anchor_bits), looked_for.width, len(lengths),
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


def _joined(texts: Sequence[bytes]) -> tuple[bytes, Ints]:
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return b"".join(texts), offsets


@cache
def _library() -> ctypes.CDLL | None:
    library = native.library()
    if library is None or not hasattr(library, "orfevre_overlap"):
        return None
    address, count = ctypes.c_void_p, ctypes.c_int64
    library.orfevre_overlap.argtypes = [
        address, address, count, address, ctypes.POINTER(_Index), address, address, count,
    ]  # fmt: skip
    library.orfevre_overlap.restype = count
    library.orfevre_word_hashes.argtypes = [address, address, count, address, address, address]
    library.orfevre_word_hashes.restype = None
    return library
