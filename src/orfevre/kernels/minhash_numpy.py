"""The NumPy twin of text.c: the same words, shingles, signatures and shared counts, bit for bit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORDS_PER_SHINGLE = 5
WORD_FACTOR = np.uint64(0x9E3779B97F4A7C15)
SHINGLE_BASE = np.uint64(0xD6E8FEB86659FD93)
ROUND = 16
"""Bytes of a word hashed in a round."""

BLOCK = 4096
"""Shingles permuted at once; bounds memory to BLOCK x width x 4 bytes."""

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint64]


def signatures(
    texts: Sequence[bytes], multiplier: NDArray[np.uint32], addend: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """See `minhash.signatures`."""
    values = np.full((len(texts), len(multiplier)), 0xFFFFFFFF, np.uint32)
    counts = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts):
        found = (shingles(text) >> np.uint64(32)).astype(np.uint32)
        counts[index] = len(found)
        for start in range(0, len(found), BLOCK):
            block = found[start : start + BLOCK, None] * multiplier + addend
            np.minimum(values[index], block.min(axis=0), out=values[index])
    return values, counts


def shingles(text: bytes) -> Hashes:
    """64-bit hashes of a text's shingles, in order and with repeats."""
    words = word_hashes(text)
    if not len(words):
        return np.zeros(0, np.uint64)
    width = min(len(words), WORDS_PER_SHINGLE)
    total = np.zeros(len(words) - width + 1, np.uint64)
    for place in range(width):
        total = total * SHINGLE_BASE + words[place : place + len(total)]
    return mix(total)


def lines(text: bytes) -> tuple[Hashes, NDArray[np.int32]]:
    """Hash and number of words of each line of one text."""
    words = [word_hashes(line) for line in text.split(b"\n")]
    hashes = np.zeros(len(words), np.uint64)
    for line, own in zip(np.split(hashes, len(hashes)), words, strict=True):  # views of one: scalars warn of overflow
        for word in own:
            line[:] = line * SHINGLE_BASE + word
    return mix(hashes), np.array([len(own) for own in words], np.int32)


def word_hashes(text: bytes) -> Hashes:
    """64-bit hash of each word: its folded bytes, 16 a round, the last round padded with zeros."""
    return words(text)[0]


def words(text: bytes) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int64]]:
    """Hash of each word, where it begins, and where it ends."""
    folded = np.concatenate((fold(text), np.zeros(ROUND, np.uint8)))
    inside = folded != 0
    edges = np.flatnonzero(np.diff(inside, prepend=False))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    hashes = np.zeros(len(starts), np.uint64)
    for done in range(0, int(lengths.max(initial=0)), ROUND):
        longer = np.flatnonzero(lengths > done)
        places = starts[longer, None] + np.arange(done, done + ROUND)
        left = (lengths[longer] - done)[:, None]
        block = np.where(np.arange(ROUND) < left, folded[np.minimum(places, len(folded) - 1)], np.uint8(0))
        for half in np.ascontiguousarray(block).view("<u8").astype(np.uint64).T:
            mixed = (hashes[longer] ^ half) * WORD_FACTOR
            hashes[longer] = mixed ^ (mixed >> np.uint64(32))
    return hashes, starts.astype(np.int64), (starts + lengths).astype(np.int64)


def fold(text: bytes) -> Bytes:
    """Lower-cased bytes, 0 for a separator: the patterns that words.h lists."""
    raw = np.frombuffer(text, np.uint8)
    folded = _letter_table()[raw]
    if len(raw) == 0 or raw.max() < 0x80:
        return folded
    second, third = np.append(raw[1:], np.uint8(0)), np.append(raw[2:], np.zeros(2, np.uint8))[: len(raw)]
    for lead, low, high, new_lead, shift in _CASES:
        places = np.flatnonzero((raw == lead) & (second >= low) & (second <= high))
        folded[places] = new_lead
        folded[places + 1] = (raw[places + 1].astype(np.int16) + shift).astype(np.uint8)
    for lead, low, high in _PAIRS:
        places = np.flatnonzero((raw == lead) & (second >= low) & (second <= high))
        folded[places] = folded[places + 1] = 0
    for lead, middle, low, high in _TRIPLES:
        places = np.flatnonzero((raw == lead) & (second == middle) & (third >= low) & (third <= high))
        folded[places] = folded[places + 1] = folded[places + 2] = 0
    return folded


_CASES = (
    (0xC3, 0x80, 0x9E, 0xC3, 0x20),
    (0xCE, 0x91, 0x9F, 0xCE, 0x20),
    (0xCE, 0xA0, 0xAB, 0xCF, -0x20),
    (0xD0, 0x90, 0x9F, 0xD0, 0x20),
    (0xD0, 0xA0, 0xAF, 0xD1, -0x20),
    (0xD0, 0x80, 0x8F, 0xD1, 0x10),
)
"""Capitals: lead byte, range of the second byte, then the lead and the shift of the second that make it small."""

_PAIRS = (
    (0xC2, 0x80, 0xA9),
    (0xC2, 0xAB, 0xB4),
    (0xC2, 0xB6, 0xB9),
    (0xC2, 0xBB, 0xBF),
    (0xC3, 0x97, 0x97),
    (0xC3, 0xB7, 0xB7),
)
"""Separators of two bytes: lead, range of the second. They undo what _CASES does to the multiplication sign."""

_TRIPLES = ((0xE2, 0x80, 0x80, 0xBF), (0xE2, 0x81, 0x80, 0xAF), (0xE3, 0x80, 0x80, 0x82))
"""Separators of three bytes: lead, second, range of the third."""


def shared(members: Hashes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """See `minhash.shared`."""
    counts = [
        len(np.intersect1d(members[low:high], members[other_low:other_high], assume_unique=True))
        for (low, other_low), (high, other_high) in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return np.array(counts, np.int64)


def mix(hashes: Hashes) -> Hashes:
    """The finaliser of MurmurHash3."""
    shift = np.uint64(33)
    hashes = (hashes ^ (hashes >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> shift)


def _letter_table() -> Bytes:
    """0 for a separator, else the lower-cased byte, for each of 256 bytes."""
    return np.array([_letter(byte) for byte in range(256)], np.uint8)


def _letter(byte: int) -> int:
    if byte >= 128:
        return byte
    return ord(chr(byte).lower()) if chr(byte).isalnum() else 0
