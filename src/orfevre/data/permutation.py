"""Orders drawn from a key, looked up number by number (kernels.windows.permuted): nothing is built, nothing is kept.

A Feistel network over pairs of digits, (left, right) below (wide, narrow), whose rounds add a keyed hash of one digit
to the other; numbers it sends beyond the size are sent again (Black and Rogaway 2002, "Ciphers with arbitrary finite
domains", sections 3 and 4). wide x narrow is hardly more than the size, so that is rare.
"""

import hashlib
import math

import numpy as np
import numpy.typing as npt

from orfevre.kernels import windows

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(windows.GOLDEN)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def key_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def digits(size: int) -> tuple[int, int]:
    """Bases of the two digits for numbers below `size` (1 or more): size <= wide x narrow < size + wide."""
    wide = math.isqrt(size - 1) + 1
    return wide, -(-size // wide)


def keys(source_keys: Words, epochs: Ints) -> Words:
    """A key for each pair, uint64: SplitMix64's finaliser over key + epoch x golden ratio."""
    mixed = source_keys + epochs.astype(np.uint64) * _GOLDEN  # wraps modulo 2**64, as meant
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    made: Words = mixed ^ (mixed >> np.uint64(31))
    return made
