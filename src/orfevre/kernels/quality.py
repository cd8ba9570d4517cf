"""What quality rules need to know of texts: counts by quality.c where it is built, by its Python twin elsewhere."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import classes, native, quality_python
from orfevre.kernels.quality_python import Measures

BASIC, REPETITION, WORDS, C4, FINEWEB, CODE = (1 << bit for bit in range(6))
"""Groups of measures; the fields of other groups stay 0."""

MEASURES = np.dtype([(name, np.int64) for name in quality_python.NAMES])
"""A row a text: the fields of `measures` in quality.c, in its order."""

MAX_STOP_WORDS = 64
"""Of all languages together: a bit each."""

KEPT, LOREM_IPSUM, CURLY = range(3)
"""`c4_outcome`."""


@dataclass(frozen=True)
class Lines:
    """What C4 does with lines, as recipe.C4 documents it."""

    remove_citations: bool = True
    needs_line_end: bool = True
    drops_javascript: bool = True
    refuses_lorem_ipsum: bool = True
    refuses_curly: bool = True
    drops_policy: bool = True
    min_words_per_line: int = 3
    max_word_length: int = 1000


@dataclass(frozen=True)
class Asked:
    """What to count."""

    groups: int
    stop_words: tuple[str, ...] = ()
    """Up to MAX_STOP_WORDS; a text's `stop_words` has a bit for each it holds."""

    line_ends: str = ".?!\"'"
    more_ends: str = ""
    """As in classes.table."""

    short_line_chars: int = 30
    lines: Lines = Lines()


class _Rules(ctypes.Structure):
    """`quality_rules` of quality.c, with `c4_rules` at its end."""

    _fields_ = [
        ("classes", ctypes.c_void_p),
        ("stop_text", ctypes.c_char_p),
        ("stop_place", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("num_stop_words", "groups", "short_line_chars")),
        *((name, ctypes.c_int32) for name in Lines.__dataclass_fields__),
    ]


def rows(found: NDArray[np.void]) -> list[Measures]:
    """MEASURES, a named tuple a text."""
    return list(map(Measures._make, found.tolist()))


def measure(texts: Sequence[bytes], asked: Asked) -> tuple[NDArray[np.void], list[bytes]]:
    """MEASURES `[num_texts]` of UTF-8 texts (any bytes will do), and with group C4 the lines of each text that stay."""
    assert len(asked.stop_words) <= MAX_STOP_WORDS
    library = _library()
    if library is None:
        return quality_python.measure(texts, asked)
    joined, offsets = b"".join(texts), native.offsets(texts)
    stop_words = [word.encode() for word in asked.stop_words]
    table, places = classes.table(asked.line_ends, asked.more_ends), native.offsets(stop_words)
    rules = _Rules(
        table.ctypes.data, b"".join(stop_words), places.ctypes.data, len(stop_words), asked.groups,
        asked.short_line_chars, *(int(getattr(asked.lines, name)) for name in Lines.__dataclass_fields__),
    )  # fmt: skip
    found = np.empty(len(texts), MEASURES)
    out = np.empty(len(joined) + 1 if asked.groups & C4 else 0, np.uint8)
    failed = library.orfevre_quality(
        ctypes.byref(rules), joined, offsets.ctypes.data, len(texts), found.ctypes.data, out.ctypes.data
    )
    if failed:
        raise MemoryError("no memory for the words of a text")
    if not asked.groups & C4:
        return found, []
    starts, lengths = offsets[:-1].tolist(), found["c4_bytes"].tolist()
    return found, [out[start : start + length].tobytes() for start, length in zip(starts, lengths, strict=True)]


@cache
def _library() -> ctypes.CDLL | None:
    address, count = ctypes.c_void_p, ctypes.c_int64
    arguments = [ctypes.POINTER(_Rules), address, address, count, address, address]
    library = native.declared({"orfevre_quality_size": (count, []), "orfevre_quality": (ctypes.c_int32, arguments)})
    if library is not None:
        assert library.orfevre_quality_size() == MEASURES.itemsize, "quality.c and quality_python.NAMES differ"
    return library
