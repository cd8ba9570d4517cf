"""Classes of characters for the kernels: a byte for each code point, made once from Python's own str methods.

Punctuation is what CCNet (arXiv 1911.00359) strips; ends of sentences are Unicode's property Sentence_Terminal,
as datatrove holds it, so that decisions can be compared character by character.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

SPACE, ALPHA, ALNUM, MARK, TERMINAL, LINE_END, DECIMAL, BREAK = (1 << bit for bit in range(8))
"""As in chars.h."""

NUM_POINTS = 0x40000
"""No letter, digit or white space lies beyond."""

_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
"""Beside these, ends of sentences and control characters except tab and newline."""

_TERMINALS = (
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 "
    "17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 "
    "2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb "
    "fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 "
    "111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 "
    "1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 "
    "16b37-16b38 16b44 16e98 1bc9f 1da88"
)
"""Code points, in hexadecimal."""


@cache
def terminals() -> frozenset[str]:
    found: set[str] = set()
    for part in _TERMINALS.split():
        low, _, high = part.partition("-")
        found.update(map(chr, range(int(low, 16), int(high or low, 16) + 1)))
    return frozenset(found)


@cache
def marks() -> frozenset[str]:
    controls = {chr(point) for point in (*range(9), *range(11, 32), *range(127, 160))}
    return terminals() | set(_MARKS) | controls


@cache
def table(line_ends: str, more_ends: str = "") -> NDArray[np.uint8]:
    """uint8 `[NUM_POINTS]`. C4 lets a line end with one of `line_ends`; `more_ends` end sentences too."""
    letters = [chr(point) for point in range(NUM_POINTS)]
    classes = np.zeros(NUM_POINTS, np.uint8)
    for bit, method in ((SPACE, str.isspace), (ALPHA, str.isalpha), (ALNUM, str.isalnum), (DECIMAL, str.isdecimal)):
        classes |= np.fromiter(map(method, letters), np.bool_, NUM_POINTS).astype(np.uint8) * np.uint8(bit)
    breaks = [char for char in letters[:0x2100] if len(f"a{char}b".splitlines()) == 2]
    for bit, chars in (
        (MARK, marks()), (TERMINAL, terminals() | set(more_ends)), (LINE_END, line_ends + more_ends), (BREAK, breaks)
    ):  # fmt: skip
        for char in chars:
            classes[ord(char)] |= np.uint8(bit)
    return classes
