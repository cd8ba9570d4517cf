"""Lines of texts that may be mojibake: mojibake.c where it is built, the same rules in Python elsewhere."""

import ctypes
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import native

_LOWER, _UPPER, _LETTER, _PUNCTUATION, _BLANK, _SYMBOL, _BOX = range(7)
_LEADS = frozenset("ÂÃÎÐÑØÙ")
_WINDOWS_LETTERS = frozenset("ŒœŠšŸŽžƒ")


def find(texts: Sequence[bytes]) -> NDArray[np.int64]:
    """int64 `[num_lines, 3]`: number of the text, first byte of the line and the byte after its last, in order."""
    library = _library()
    if library is None:
        return np.array([(n, *line) for n, text in enumerate(texts) for line in _lines(text)], np.int64).reshape(-1, 3)
    return native.places(library.orfevre_mojibake, texts, 3).copy()


def _lines(text: bytes) -> list[tuple[int, int]]:
    found, place = [], 0
    for line in text.split(b"\n"):
        if not line.isascii() and _is_suspect_line(line.decode("utf-8", "surrogateescape")):
            found.append((place, place + len(line)))
        place += len(line) + 1
    return found


def _is_suspect_line(line: str) -> bool:
    if any("\x80" <= char < "\xa0" for char in line) or "Â " in line or "Ã " in line:
        return True
    for left, right in pairwise(line):
        if left in "Œœ" and right.isascii() and not right.isalpha():
            return True
        if _is_wide(left) and _is_wide(right) and _is_suspect(left, right):
            return True
    return False


def _is_wide(char: str) -> bool:
    """Not ASCII, and not a byte that is no UTF-8."""
    return char >= "\x80" and not "\ud800" <= char < "\ue000"


def _is_suspect(left: str, right: str) -> bool:
    kinds = _kind(ord(left)), _kind(ord(right))
    if left in _LEADS or left + right == "вЂ":
        return True
    if _BLANK in kinds or kinds == (_BOX, _BOX):
        return False
    if max(kinds) >= _SYMBOL:
        return True
    if kinds[0] == _UPPER:
        return kinds[1] == _PUNCTUATION or right in _WINDOWS_LETTERS
    return kinds == (_LOWER, _UPPER) or (left == "â" and right in _WINDOWS_LETTERS)


def _kind(point: int) -> int:  # noqa: PLR0911  # a table of ranges
    char = chr(point)
    if char in "\u00a0\u202f\u2060\u3000\ufeff" or 0x2000 <= point <= 0x200F:
        return _BLANK
    if char in "¡¿«»‘’“”•…" or 0x2010 <= point <= 0x2014:
        return _PUNCTUATION
    if point < 0xC0 or char in "×÷" or 0x2B0 <= point < 0x300:
        return _SYMBOL
    if point < 0x100:
        return _UPPER if point < 0xDF else _LOWER
    if point < 0x250:
        even_is_upper = point < 0x138 or 0x148 < point < 0x178
        return _UPPER if point == 0x178 or (point % 2 == 0) == even_is_upper else _LOWER
    if 0x2500 <= point < 0x25A0:
        return _BOX
    return _SYMBOL if 0x2010 <= point < 0x2C00 or point == 0xFFFD else _LETTER


@cache
def _library() -> ctypes.CDLL | None:
    address, count = ctypes.c_void_p, ctypes.c_int64
    return native.declared({"orfevre_mojibake": (count, [address, address, count, address, count])})
