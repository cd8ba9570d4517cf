"""Where texts may hold personal data: personal.c where it is built, the same rules as regular expressions elsewhere."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import native

EMAIL, NUMBER, IBAN, IPV6 = range(4)
"""Kinds of places; personal.c says what each is."""


_GAP = rb"(?:[ .()/+\-]|\xc2\xa0|\xe2\x80\xaf)"
_NUMBER = re.compile(rb"[0-9](?:(?:(?<=2)[ABab])?" + _GAP + rb"{0,3}[0-9])*")
_IBAN = re.compile(
    rb"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:(?:[ \-]|\xc2\xa0|\xe2\x80\xaf)?[A-Za-z0-9]){11,30}"
)  # fmt: skip
_EMAIL = re.compile(rb"@(?=[A-Za-z0-9])[A-Za-z0-9.\-]{1,255}")
_LOCAL = re.compile(rb"[A-Za-z0-9._%+'\-]{1,64}\Z")
_IPV6 = re.compile(rb"(?<![0-9A-Za-z_:])[0-9A-Fa-f:]+(?![0-9A-Za-z_:])")


def find(texts: Sequence[bytes]) -> NDArray[np.int64]:
    """int64 `[num_places, 4]`: number of the text, kind, first byte and the byte after the last, ordered by text and
    first byte."""
    library = _library()
    if library is None:
        places = [(number, *place) for number, text in enumerate(texts) for place in _places(text)]
        return _ordered(np.array(places, np.int64).reshape(-1, 4))
    return _ordered(native.places(library.orfevre_personal, texts, 4))


def _ordered(found: NDArray[np.int64]) -> NDArray[np.int64]:
    return found[np.lexsort((found[:, 1], found[:, 2], found[:, 0]))]


def _places(text: bytes) -> Iterator[tuple[int, int, int]]:
    for match in _EMAIL.finditer(text):
        local = _LOCAL.search(text, max(0, match.start() - 64), match.start())
        if local:
            yield EMAIL, local.start(), match.end()
    for match in _NUMBER.finditer(text):
        if sum(map(text[match.start() : match.end()].count, _DIGITS)) >= 7 or match.group().count(b".") >= 3:
            start = match.start()
            for sign in b"(+":
                start -= start > 0 and text[start - 1] == sign
            yield NUMBER, start, match.end()
    place = 0
    while iban := _IBAN.search(text, place):
        yield IBAN, iban.start(), iban.end()
        place = iban.start() + 4
    for match in _IPV6.finditer(text):
        if b"::" in match.group() or match.group().count(b":") >= 7:
            yield IPV6, match.start(), match.end()


_DIGITS = [bytes([digit]) for digit in b"0123456789"]


@cache
def _library() -> ctypes.CDLL | None:
    address, count = ctypes.c_void_p, ctypes.c_int64
    return native.declared({"orfevre_personal": (count, [address, address, count, address, count])})
