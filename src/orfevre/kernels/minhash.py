"""Shingles of texts, their MinHash signatures (Broder, 1997), and how much two sets of shingles share.

Shingles are five lower-case words in a row; words.h says what a word is. Each signature value is the least of
`multiplier * shingle + addend mod 2**32` over a text's shingles, of whose 64 well-mixed bits it sees the upper 32. The
share of equal values of two signatures estimates the Jaccard similarity of their sets; `jaccard` is exact, but for
shingles that collide in 64 bits.
"""

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import minhash_numpy, native

Signatures = NDArray[np.uint32]
Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


def signatures(texts: Sequence[bytes], num_values: int) -> tuple[Signatures, Ints]:
    """Signatures uint32 `[num_texts, num_values]` and shingle counts int64 `[num_texts]` of UTF-8 texts.

    A text without words has no shingles and a signature of all ones bits; it resembles nothing.
    """
    if _library() is None:
        return minhash_numpy.signatures(texts, *permutations(num_values))
    return signatures_at(np.frombuffer(b"".join(texts), np.uint8), native.offsets(texts), num_values)


def signatures_at(text: NDArray[np.uint8], offsets: Ints, num_values: int) -> tuple[Signatures, Ints]:
    """The same of texts that stand one after another: text d is `text[offsets[d]:offsets[d + 1]]` (uint8)."""
    multiplier, addend = permutations(num_values)
    library = _library()
    if library is None:
        return minhash_numpy.signatures(_apart(text, offsets), multiplier, addend)
    text, offsets = _checked(text, offsets)
    values = np.empty((len(offsets) - 1, num_values), np.uint32)
    counts = np.empty(len(values), np.int64)
    _demand_memory(
        library.orfevre_signatures(
            text.ctypes.data, offsets.ctypes.data, len(values), multiplier.ctypes.data, addend.ctypes.data,
            num_values, values.ctypes.data, counts.ctypes.data,
        )
    )  # fmt: skip
    return values, counts


def sets(texts: Sequence[bytes]) -> tuple[Hashes, Ints]:
    """The set of shingles of each text, ascending and without repeats, one set after another, and int64
    `[num_texts + 1]`: where each begins, then the end of the last."""
    found = [_unique(own) for own in shingles(texts)]
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(own) for own in found], out=starts[1:])
    return np.concatenate([np.zeros(0, np.uint64), *found]), starts


def shingles(texts: Sequence[bytes]) -> list[Hashes]:
    """For each text the 64-bit hashes of its shingles, in order and with repeats."""
    library = _library()
    if library is None:
        return [minhash_numpy.shingles(text) for text in texts]
    offsets = native.offsets(texts)
    # a shingle begins with a word, and words are apart
    found = np.empty(int(offsets[-1]) // 2 + 2 * len(texts) + 1, np.uint64)
    ends = np.empty(len(texts), np.int64)
    joined = np.frombuffer(b"".join(texts), np.uint8)
    _demand_memory(
        library.orfevre_shingles(
            joined.ctypes.data, offsets.ctypes.data, len(texts), found.ctypes.data, ends.ctypes.data
        )
    )
    return np.split(found[: ends[-1]], ends[:-1]) if texts else []


def lines(texts: Sequence[bytes]) -> list[tuple[Hashes, NDArray[np.int32]]]:
    """For each text a hash of every line's words (uint64) and how many words there are (int32).

    Lines end at line feeds: there are as many as `text.split(b"\\n")` has parts. Lines of the same words in the same
    order have the same hash, whatever their case and what stands between the words.
    """
    library = _library()
    if library is None:
        return [minhash_numpy.lines(text) for text in texts]
    offsets = native.offsets(texts)
    ends = np.cumsum([text.count(b"\n") + 1 for text in texts])
    hashes = np.empty(int(ends[-1]) if texts else 0, np.uint64)
    num_words = np.empty(len(hashes), np.int32)
    joined = np.frombuffer(b"".join(texts), np.uint8)
    _demand_memory(
        library.orfevre_lines(
            joined.ctypes.data, offsets.ctypes.data, len(texts), hashes.ctypes.data, num_words.ctypes.data
        )
    )
    return list(zip(np.split(hashes, ends[:-1]), np.split(num_words, ends[:-1]), strict=True)) if texts else []


def words(texts: Sequence[bytes]) -> list[tuple[Hashes, Ints, Ints]]:
    """For each text its words' hashes (uint64), and the bytes where each begins and ends (int64)."""
    library = _library()
    if library is None:
        return [minhash_numpy.words(text) for text in texts]
    offsets = native.offsets(texts)
    room = int(offsets[-1]) // 2 + len(texts) + 1
    hashes, begins, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    last = np.empty(len(texts), np.int64)
    joined = np.frombuffer(b"".join(texts), np.uint8)
    arrays = (joined, offsets, len(texts), hashes, begins, ends, last)
    _demand_memory(library.orfevre_words(*(one if isinstance(one, int) else one.ctypes.data for one in arrays)))
    bounds = zip([0, *last.tolist()], last.tolist(), strict=False)
    return [(hashes[low:high], begins[low:high], ends[low:high]) for low, high in bounds]


def shared(members: Hashes, starts: Ints, ends: Ints) -> Ints:
    """How many members two sets share, for pairs of sets: int64 `[num_pairs]`.

    A set is `members[start:end]`, ascending and without repeats; `starts` and `ends` are int64 `[num_pairs, 2]`.
    """
    library = _library()
    if library is None:
        return minhash_numpy.shared(members, starts, ends)
    assert members.dtype == np.uint64 and members.flags.c_contiguous
    assert len(starts) == 0 or (starts.min() >= 0 and ends.max() <= len(members))
    starts, ends = np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(ends, np.int64)
    counts = np.empty(len(starts), np.int64)
    library.orfevre_shared(members.ctypes.data, starts.ctypes.data, ends.ctypes.data, len(starts), counts.ctypes.data)
    return counts


def jaccard(members: Hashes, starts: Ints, ends: Ints) -> NDArray[np.float64]:
    """Jaccard similarity of pairs of sets, given as in `shared`; of two empty sets it is 0."""
    sizes = (ends - starts).sum(axis=1)
    counts = shared(members, starts, ends)
    return np.asarray(counts / np.maximum(sizes - counts, 1), np.float64)


@cache
def permutations(num_values: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The same odd multipliers and addends everywhere: signatures of different runs can be compared."""
    draws = np.random.Generator(np.random.PCG64(0x0DF)).integers(0, 2**32, (num_values, 2), np.uint32)
    return np.ascontiguousarray(draws[:, 0] | np.uint32(1)), np.ascontiguousarray(draws[:, 1])


def band_keys(values: Signatures, num_bands: int) -> Hashes:
    """One 64-bit key for each band of each signature: `[num_bands, num_texts]` from `[num_texts, bands * rows]`.

    Bands begin from different seeds, so that keys of all bands can lie in one table.
    """
    num_texts, width = values.shape
    rows = values.reshape(num_texts, num_bands, width // num_bands)
    keys = np.repeat(minhash_numpy.mix(np.arange(1, num_bands + 1, dtype=np.uint64))[:, None], num_texts, axis=1)
    for row in range(rows.shape[2]):
        keys = minhash_numpy.mix(keys * minhash_numpy.SHINGLE_BASE + rows[:, :, row].T.astype(np.uint64))
    return keys


def similarity(left: Signatures, right: Signatures) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of signatures, row by row (shapes broadcast); standard error sqrt(J(1-J)/width)."""
    return np.asarray((left == right).mean(axis=-1), np.float64)


def _library() -> ctypes.CDLL | None:
    """The C kernels with their argument types, or None."""
    address, count, flag = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    return native.declared({
        "orfevre_signatures": (flag, [address, address, count, address, address, flag, address, address]),
        "orfevre_shingles": (flag, [address, address, count, address, address]),
        "orfevre_lines": (flag, [address, address, count, address, address]),
        "orfevre_words": (flag, [address, address, count, address, address, address, address]),
        "orfevre_shared": (None, [address, address, address, count, address]),
    })  # fmt: skip


def _unique(hashes: Hashes) -> Hashes:
    """np.unique, which hashes what is hashed already, takes several times as long."""
    hashes = np.sort(hashes)
    new = np.ones(len(hashes), bool)
    np.not_equal(hashes[1:], hashes[:-1], out=new[1:])
    return hashes[new]


def _checked(text: NDArray[np.uint8], offsets: Ints) -> tuple[NDArray[np.uint8], Ints]:
    """Contiguous, and with offsets that ascend inside the text: the kernel trusts them."""
    text, offsets = np.ascontiguousarray(text, np.uint8), np.ascontiguousarray(offsets, np.int64)
    assert len(offsets) and offsets[0] >= 0 and offsets[-1] <= len(text) and (np.diff(offsets) >= 0).all()
    return text, offsets


def _apart(text: NDArray[np.uint8], offsets: Ints) -> list[bytes]:
    whole = text.tobytes()
    return [whole[start:end] for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


def _demand_memory(failed: int) -> None:
    if failed:
        raise MemoryError("the text kernel found no memory for the longest text")
