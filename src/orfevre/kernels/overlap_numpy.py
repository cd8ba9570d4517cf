"""The NumPy twin of overlap.c: the same words, n-grams and hits, bit for bit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import folding
from orfevre.kernels.minhash_numpy import mix

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

WORD_BASE = 0x9E3779B97F4A7C15
GRAM_BASE = np.uint64(0xD6E8FEB86659FD93)
LENGTH_SALT = 0xA0761D6478BD642F


def word_hashes(text: bytes) -> Hashes:
    """uint64 `[num_words]`. Bytes that are no UTF-8 become replacement characters, which end words as any symbol."""
    points = np.frombuffer(text.decode("utf-8", "replace").encode("utf-32-le"), np.uint32)
    entries = folding.table()[np.minimum(points, folding.TABLE_SIZE - 1)]
    for place in np.flatnonzero(points >= folding.TABLE_SIZE):
        point = int(points[place])
        entries[place] = folding.astral(point) if point < folding.IDEOGRAPHS_END else 0
    entries = entries[(entries & np.uint64(folding.SKIP)) == 0]
    return _hashes(entries)


def _hashes(entries: Hashes) -> Hashes:
    """Units in base WORD_BASE from word to word, mixed: character by character, since a text here is short."""
    hashes: list[int] = []
    current = -1
    for entry in entries.tolist():
        alone = bool(entry & folding.ALONE)
        if current >= 0 and (alone or not entry):
            hashes.append(current)
            current = -1
        for place in range(entry >> folding.COUNT_SHIFT & 3):
            current = (max(current, 0) * WORD_BASE + (entry >> 16 * place & 0xFFFF)) & 0xFFFFFFFFFFFFFFFF
        if alone:
            hashes.append(current)
            current = -1
    if current >= 0:
        hashes.append(current)
    return mix(np.array(hashes, np.uint64))


def gram_hashes(words: Hashes, length: int) -> Hashes:
    """Hash of every `length` words in a row: uint64 `[len(words) - length + 1]`, or none."""
    count = max(0, len(words) - length + 1)
    total = np.zeros(count, np.uint64)
    for place in range(length):
        total = total * GRAM_BASE + words[place : place + count]
    return mix(total ^ np.uint64(length * LENGTH_SALT & 0xFFFFFFFFFFFFFFFF))


def overlap(texts: Sequence[bytes], grams: Hashes, lengths: Sequence[int]) -> tuple[Ints, Ints]:
    """See `overlap.find`."""
    documents, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number, text in enumerate(texts):
        words = word_hashes(text)
        for length in lengths:
            hashes = gram_hashes(words, length)
            places = np.searchsorted(grams, hashes)
            hits = places[(places < len(grams)) & (grams[np.minimum(places, len(grams) - 1)] == hashes)]
            found.append(hits.astype(np.int64))
            documents.append(np.full(len(hits), number, np.int64))
    return np.concatenate(documents), np.concatenate(found)
