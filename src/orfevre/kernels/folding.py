"""What a character adds to a word when texts are compared: the table that overlap.c and its twin read.

Lower case (`casefold`), compatibility forms resolved (NFKD: ligatures, full-width forms), diacritics dropped, so that
`Élève` is `eleve`; `œ`, `æ`, `ø`, `đ`, `ł`, `ı` as people type them without the key. Letters and digits make words,
everything else ends them: `l'été` is two words. Each ideograph, kana and each letter of the scripts of South-East Asia
written without spaces is a word.
"""

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

TABLE_SIZE = 0x20000
ALONE = 1 << 63
SKIP = 1 << 62
COUNT_SHIFT = 48
IDEOGRAPHS_END = 0x40000
"""From TABLE_SIZE up to here every code point is an ideograph."""

_TYPED = {"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ı": "i", "ð": "d", "þ": "th"}
_UNSEEN = (0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF)
"""Soft hyphen, zero-width spaces and joiners."""

_UNSPACED = ((0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x31F0, 0x3200),
             (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00))  # fmt: skip
"""Thai and Lao, Myanmar, Khmer, kana, ideographs."""

_HANGUL = range(0xAC00, 0xD7A4)
"""Syllables, which NFKD would take apart; their words have spaces."""


@cache
def table() -> NDArray[np.uint64]:
    """uint64 `[TABLE_SIZE]`: up to three 16-bit units, lowest first, how many in bits 48 and 49, ALONE and SKIP."""
    entries = [0] * TABLE_SIZE
    for point in range(TABLE_SIZE):
        char = chr(point)
        if char.isalnum():
            entries[point] = _packed(_units(char, point)) | (ALONE if _stands_alone(point) else 0)
        elif unicodedata.category(char).startswith("M") or point in _UNSEEN:
            entries[point] = SKIP
    return np.array(entries, np.uint64)


def astral(point: int) -> int:
    """The entry of an ideograph from TABLE_SIZE on."""
    return ALONE | 2 << COUNT_SHIFT | (0x7000 + (point >> 16)) << 16 | (point & 0xFFFF)


def _units(char: str, point: int) -> list[int]:
    if point in _HANGUL or (_stands_alone(point) and point < 0xF900):
        return [point]
    lowered = unicodedata.normalize("NFKD", char).casefold()
    plain = "".join(_TYPED.get(part, part) for part in lowered)
    points = [ord(part) for part in unicodedata.normalize("NFKD", plain) if part.isalnum()] or [point]
    units = [unit for each in points for unit in ([each] if each < 0x10000 else [each & 0xFFFF, 0x7000 + (each >> 16)])]
    return units[:3]


def _packed(units: list[int]) -> int:
    return sum(unit << 16 * place for place, unit in enumerate(units)) | len(units) << COUNT_SHIFT


def _stands_alone(point: int) -> bool:
    return any(low <= point < high for low, high in _UNSPACED)
