"""Orders drawn from a key, looked up number by number: nothing is built, nothing is kept.

A Feistel network over pairs of digits, (left, right) below (wide, narrow), whose rounds add a keyed hash of one digit
to the other; numbers it sends beyond the size are sent again (Black and Rogaway 2002, "Ciphers with arbitrary finite
domains", sections 3 and 4). wide x narrow is hardly more than the size, so that is rare.
"""

import hashlib
import math

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

ROUNDS = 16
"""With fewer, orders of five or six things are not equally likely (a test counts)."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


def key_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def digits(size: int) -> tuple[int, int]:
    """Bases of the two digits for numbers below `size` (1 or more): size <= wide x narrow < size + wide."""
    wide = math.isqrt(size - 1) + 1
    return wide, -(-size // wide)


def keys(source_keys: Words, epochs: Ints) -> Words:
    """A key for each pair, uint64: SplitMix64's finaliser over key + epoch x golden ratio."""
    mixed = source_keys + epochs.astype(np.uint64) * GOLDEN  # wraps modulo 2**64, as meant, here and below
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    made: Words = mixed ^ (mixed >> np.uint64(31))
    return made


def permuted(numbers: Ints, sizes: Ints, bases: Ints, key: Words) -> Ints:
    """Where the order of each key puts each number: all int64 or uint64 [n], `bases` [2, n] as `digits` gives them.

    For one key and size, 0 .. size - 1 go to 0 .. size - 1, each once.
    """
    made = _network(numbers, bases, key)
    while len(beyond := np.flatnonzero(made >= sizes)):
        made[beyond] = _network(made[beyond], bases[:, beyond], key[beyond])
    return made


def _network(numbers: Ints, bases: Ints, key: Words) -> Ints:
    wide, narrow = bases.astype(np.uint64)
    left = numbers.astype(np.uint64) // narrow
    right = numbers.astype(np.uint64) - left * narrow
    for number in range(ROUNDS):
        round_key = key + np.uint64((number + 1) * int(GOLDEN) % 2**64)
        if number % 2:
            right = _added(right, left, narrow, round_key)
        else:
            left = _added(left, right, wide, round_key)
    made: Ints = (left * narrow + right).astype(np.int64)
    return made


def _added(digit: Words, other: Words, base: Words, key: Words) -> Words:
    """(digit + hash of the other digit) modulo base."""
    mixed = (other ^ key) * _FIRST
    mixed ^= mixed >> _HALF
    mixed *= _SECOND
    mixed >>= _HALF
    mixed *= base
    mixed >>= _HALF  # below base: a multiplication in place of a remainder
    mixed += digit
    mixed -= base * (mixed >= base)
    return mixed
