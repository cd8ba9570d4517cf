"""A user's list of words that no text may hold: each must stand between characters that are no part of a word."""

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

from orfevre.errors import InputError

_WORD = re.compile(r"\w+")


@cache
def finder(path: str) -> Callable[[str], str | None]:
    """A function that gives the first listed word a text holds, whatever its case. Raises InputError."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"curate.quality.c4.bad_words: {path} cannot be read ({error}); name a UTF-8 file, one word a line"
        ) from error
    by_first: dict[str, list[re.Pattern[str]]] = defaultdict(list)
    anywhere: list[re.Pattern[str]] = []
    for entry in sorted({line.strip().lower() for line in lines if line.strip()}):
        pattern = re.compile(rf"(?:\W|^)({re.escape(entry)})(?:\W|$)")
        first = _WORD.match(entry)
        (by_first[first.group()] if first else anywhere).append(pattern)
    firsts = frozenset(by_first)

    def find(text: str) -> str | None:
        lowered = text.lower()
        candidates = [
            pattern for word in sorted(firsts.intersection(_WORD.findall(lowered))) for pattern in by_first[word]
        ]
        found = [match for pattern in (*candidates, *anywhere) if (match := pattern.search(lowered))]
        return min(found, key=lambda match: match.start(1)).group(1) if found else None

    return find
