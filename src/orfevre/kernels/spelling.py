"""Which texts may need another spelling (spelling.c), in one pass over many."""

import ctypes
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import native

CONTROL = 1
"""Holds a control character (Unicode's Cc) other than tab and newline."""

COMPOSE = 2
"""Holds a character that may not be in NFC."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
_COMPOSE = re.compile(rb"[\xcc-\xff](?<!\xe2)|\xe2(?![\x80\x81][\x82-\xff])")
"""All below U+0300 is in NFC (UAX #15, NFC_Quick_Check), and U+2002 to U+207F, which is frequent."""


def flags(texts: Sequence[bytes]) -> NDArray[np.uint8]:
    """uint8 `[num_texts]`: CONTROL and COMPOSE, or both. Any bytes are tolerated."""
    library = _library()
    if library is None:
        return flags_python(texts)
    found = np.zeros(len(texts), np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    pointers = (ctypes.c_char_p * len(texts))(*texts)
    library.orfevre_spelling(pointers, lengths.ctypes.data, len(texts), found.ctypes.data)
    return found


@cache
def _library() -> ctypes.CDLL | None:
    address = ctypes.c_void_p
    return native.declared({"orfevre_spelling": (None, [address, address, ctypes.c_int64, address])})


def flags_python(texts: Sequence[bytes]) -> NDArray[np.uint8]:
    """The twin of the kernel."""
    found = [(CONTROL if _CONTROL.search(text) else 0) | (COMPOSE if _COMPOSE.search(text) else 0) for text in texts]
    return np.array(found, np.uint8)
