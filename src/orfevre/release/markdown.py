"""Filters of the model card's template: numbers for people, and foreign text that cannot break out of its place."""

import json
import re
from collections.abc import Sequence
from typing import Any


def text(words: str) -> str:
    """Foreign text on one line: nothing in it starts a table cell, a link, a tag, code or emphasis."""
    return re.sub(r"([\\|<>*\[\]`])", r"\\\1", " ".join(words.split()))


def fenced(words: str) -> str:
    """Foreign text as a code block, whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", words)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{words}\n{fence}"


def yaml(value: Any) -> str:
    """A value of the front matter; JSON on one line is YAML."""
    return json.dumps(value, ensure_ascii=True)


def whole(amount: int) -> str:
    """1234567 -> 1,234,567."""
    return f"{amount:,}"


def figure(amount: float | None) -> str:
    """Three significant digits, thousands set apart; `unknown` for None."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "0"
    return f"{float(f'{amount:.3g}'):,.10g}" if 1e-3 <= abs(amount) < 1e7 else f"{amount:.3g}"


def scientific(amount: float) -> str:
    """Two significant digits, as the AI Act's forms ask: 5.0e+12."""
    return f"{amount:.1e}"


def fixed(amount: float | None) -> str:
    """Four decimals, for bits per byte."""
    return "unknown" if amount is None else f"{amount:.4f}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def span(ends: Sequence[float | None] | None) -> str:
    """`1.2345 to 1.3456`, or nothing."""
    return "" if ends is None else " to ".join(fixed(end) for end in ends)


def between(ends: Sequence[float | None] | None) -> str:
    """` (1.2 to 1.5)`, or nothing."""
    return "" if ends is None else f" ({' to '.join(figure(end) for end in ends)})"


def shares(ends: Sequence[float]) -> str:
    return " to ".join(percent(end) for end in ends)


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} seconds"
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
