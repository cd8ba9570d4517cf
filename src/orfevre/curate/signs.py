"""What deduplication needs of a part's documents, left beside the part while the text is still at hand.

    part-000000.index.npy      INDEX of every document that passed the rules, in the order of the part's rows
    part-000000.keys.npy       uint64 `[num_documents, num_bands]`: band keys of their MinHash signatures
    part-000000.shingles.npy   int32 `[num_documents]`: shingles with repeats; a text without words has none

40 bytes and num_bands x 8 bytes a document, on disk. Signatures are not kept: what shares a band is compared by its
shingles (verify.py).
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import minhash
from orfevre.recipe import Dedup

INDEX = np.dtype(
    [("id", np.uint64), ("high", np.uint64), ("low", np.uint64), ("num_bytes", np.int64), ("quality", np.float32)]
)
"""A document's id, the first 128 bits of its text's SHA-256, its length, and the classifier's score (-1 without)."""


def entry(number: int, sha256: bytes, num_bytes: int, quality: float | None) -> tuple[int, int, int, int, float]:
    """A row of INDEX, from a document's id as a number and the digest of its text."""
    score = -1.0 if quality is None else quality
    high, low = struct.unpack_from(">QQ", sha256)
    return number, high, low, num_bytes, score


def write(stem: Path, index: NDArray[np.void], texts: Sequence[bytes], rules: Dedup) -> None:
    """Leave the three files of a part; `texts` are the UTF-8 of the documents of `index` (INDEX), in its order."""
    save(stem, index, *minhash.signatures(texts, width_of(rules)), rules)


def width_of(rules: Dedup) -> int:
    """Values in a signature."""
    return rules.num_bands * rules.rows_per_band


def save(
    stem: Path, index: NDArray[np.void], signatures: minhash.Signatures, num_shingles: minhash.Ints, rules: Dedup
) -> None:
    """The same, of texts that are signed already."""
    assert index.dtype == INDEX and len(index) == len(signatures) == len(num_shingles)
    keys = np.ascontiguousarray(minhash.band_keys(signatures, rules.num_bands).T)
    for name, array in (("index", index), ("keys", keys), ("shingles", num_shingles.astype(np.int32))):
        np.save(stem.with_suffix(f".{name}.npy"), array, allow_pickle=False)
