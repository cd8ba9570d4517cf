"""MinHash signatures of texts (Broder, 1997): the share of equal values estimates the Jaccard similarity.

Shingles are five lower-case words in a row; text.c says what a word is. Each signature value is the least of
`multiplier * shingle + addend mod 2**32` over a text's shingles, with shingles hashed to 32 well-mixed bits.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import minhash_numpy, native

Signatures = NDArray[np.uint32]


def signatures(texts: Sequence[bytes], num_values: int) -> tuple[Signatures, NDArray[np.int64]]:
    """Signatures uint32 `[num_texts, num_values]` and shingle counts int64 `[num_texts]` of UTF-8 texts.

    A text without words has no shingles and a signature of all ones bits; it resembles nothing.
    """
    multiplier, addend = permutations(num_values)
    library = native.library()
    if library is None:
        return minhash_numpy.signatures(texts, multiplier, addend)
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    joined = b"".join(texts)
    values = np.empty((len(texts), num_values), np.uint32)
    counts = np.empty(len(texts), np.int64)
    library.orfevre_signatures(
        joined, offsets.ctypes.data, len(texts), multiplier.ctypes.data, addend.ctypes.data,
        num_values, values.ctypes.data, counts.ctypes.data,
    )  # fmt: skip
    return values, counts


@cache
def permutations(num_values: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The same odd multipliers and addends everywhere: signatures of different runs can be compared."""
    draws = np.random.Generator(np.random.PCG64(0x0DF)).integers(0, 2**32, (num_values, 2), np.uint32)
    return np.ascontiguousarray(draws[:, 0] | np.uint32(1)), np.ascontiguousarray(draws[:, 1])


def band_keys(values: Signatures, num_bands: int) -> NDArray[np.uint64]:
    """One 64-bit key for each band of each signature: `[num_bands, num_texts]` from `[num_texts, bands * rows]`."""
    num_texts, width = values.shape
    rows = values.reshape(num_texts, num_bands, width // num_bands)
    keys = np.zeros((num_bands, num_texts), np.uint64)
    for row in range(rows.shape[2]):
        keys = minhash_numpy.mix(keys * minhash_numpy.SHINGLE_BASE + rows[:, :, row].T.astype(np.uint64))
    return keys


def similarity(left: Signatures, right: Signatures) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of signatures, row by row (shapes broadcast); standard error sqrt(J(1-J)/width)."""
    return np.asarray((left == right).mean(axis=-1), np.float64)
