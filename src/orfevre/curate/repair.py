"""Mending of prose that was decoded wrongly, by ftfy; nothing but the encoding is changed. Comes before normalising,
which takes away control characters that tell what the bytes were.

The kernel finds lines that no language writes, so that clean text costs next to nothing, and ftfy mends or leaves each.
"""

import html
import html.entities
import re
from collections.abc import Callable, Sequence

from orfevre.curate.draft import Draft, Step
from orfevre.curate.units import Unit
from orfevre.kernels import mojibake

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")

Fix = Callable[[str], str]


def step(unit: Unit) -> Step | None:
    rules = unit.curate.repair
    if not (rules.mojibake or rules.html_entities):
        return None

    def repair(drafts: Sequence[Draft]) -> None:
        prose = [draft for draft in drafts if not draft.is_code]
        if rules.mojibake:
            mend(prose)
        if rules.html_entities:
            for draft in prose:
                unescape(draft)

    return repair


def mend(drafts: Sequence[Draft]) -> None:
    """Mends the lines that ftfy finds wrong; the edit `mojibake` counts them."""
    texts = [draft.text.encode("utf-8", "surrogatepass") for draft in drafts]
    lines: dict[int, list[tuple[int, int]]] = {}
    for number, begin, end in mojibake.find(texts).tolist():
        lines.setdefault(number, []).append((begin, end))
    fix = fixer() if lines else None
    for number, places in lines.items():
        assert fix is not None
        mended, count = _mended(texts[number], places, fix)
        if count:
            drafts[number].rewrite(mended, "mojibake", count)


def _mended(text: bytes, places: Sequence[tuple[int, int]], fix: Fix) -> tuple[str, int]:
    parts, place, count = [], 0, 0
    for begin, end in places:
        line = text[begin:end].decode("utf-8", "surrogatepass")
        fixed = fix(line)
        if fixed != line:
            parts += [text[place:begin].decode("utf-8", "surrogatepass"), fixed]
            place, count = end, count + 1
    parts.append(text[place:].decode("utf-8", "surrogatepass"))
    return "".join(parts), count


def fixer() -> Fix:
    """ftfy's repair of encodings alone: no quotes, widths, ligatures or entities are touched."""
    import ftfy

    config = ftfy.TextFixerConfig(unescape_html=False, explain=False)
    return lambda text: ftfy.fix_encoding(text, config)


def unescape(draft: Draft) -> None:
    """Turns HTML entities into characters; the edit `html_entity` counts them. Unknown names stay as they are."""
    if "&" not in draft.text:
        return
    count = 0

    def character(match: re.Match[str]) -> str:
        nonlocal count
        name = match.group()[1:]
        if name[0] != "#" and name not in html.entities.html5:
            return match.group()
        count += 1
        return html.unescape(match.group())

    text = _ENTITY.sub(character, draft.text)
    if count:
        draft.rewrite(text, "html_entity", count)
