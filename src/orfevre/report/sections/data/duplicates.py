"""Near-duplicates: a few that were dropped, beside the text that stays, with what differs marked."""

import difflib
import re

from orfevre.report import words
from orfevre.report.blocks import Block, Piece, Section, Sides, Text
from orfevre.report.facts import Facts
from orfevre.report.samples import Pair

MAX_TOKENS = 400
CONTEXT = 14
"""Equal tokens shown on either side of a difference."""

_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")


def duplicates(facts: Facts) -> Section:
    head = Section("duplicates", "Near-duplicates, side by side", "Duplicates")
    if facts.stats is None or facts.samples is None:
        return Section(head.id, head.title, head.short, missing="curate")
    tables = facts.stats["sources"].values()
    exact, near = (sum(table["dropped"].get(f"{kind}_duplicate", 0) for table in tables) for kind in ("exact", "near"))
    lead = (
        f"{words.count(exact)} documents were equal to another and {words.count(near)} nearly so. Texts are compared "
        "over all sources; of those that say the same, one stays."
    )
    blocks: list[Block] = [Text(lead), *map(_sides, facts.samples.pairs)]
    return Section(head.id, head.title, head.short, blocks)


def _sides(pair: Pair) -> Sides:
    left, right = marked(pair.dropped.text, pair.kept_text)
    return Sides(
        f"Dropped: {pair.dropped.source}, {pair.dropped.location}", left,
        f"Kept: {pair.kept_source}, {pair.kept_location}", right,
    )  # fmt: skip


def marked(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts from their beginning, MAX_TOKENS of each, what differs marked and long equal stretches left out."""
    whole = [_TOKEN.findall(text) for text in (left, right)]
    one, two = (tokens[:MAX_TOKENS] for tokens in whole)
    sides: tuple[list[Piece], list[Piece]] = ([], [])
    changes = difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
    if max(map(len, whole)) > MAX_TOKENS and len(changes) > 1 and changes[-1][0] != "equal":
        changes.pop()  # where the texts were cut, not where they differ
    for number, (kind, *spans) in enumerate(changes):
        for side, tokens, (start, end) in zip(sides, (one, two), (spans[:2], spans[2:]), strict=True):
            piece = tokens[start:end]
            if kind == "equal":
                piece = _folded(piece, number == 0, number == len(changes) - 1)
            if piece:
                side.append(Piece("".join(piece), kind != "equal"))
    return sides


def _folded(tokens: list[str], first: bool, last: bool) -> list[str]:
    """A stretch that is equal, without its middle; of the first only its end, of the last only its beginning."""
    if len(tokens) <= 2 * CONTEXT + 2:
        return tokens
    if first and last:
        return [*tokens[: 2 * CONTEXT], " …"]
    before = [] if first else tokens[:CONTEXT]
    after = [] if last else tokens[-CONTEXT:]
    return [*before, " … ", *after]
