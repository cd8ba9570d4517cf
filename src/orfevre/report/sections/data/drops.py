"""What each rule dropped: counts by source, and a few texts with the figure behind the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.samples import UNSHOWN, Drop
from orfevre.report.sections.data.steps import BROKEN, STEPS, step_of

EXCERPT_CHARS = 220
LOCATION_CHARS = 28


def drops(facts: Facts) -> Section:
    head = Section("drops", "What the rules dropped", "Drops")
    if facts.stats is None or facts.samples is None:
        return Section(head.id, head.title, head.short, missing="curate")
    tables = facts.stats["sources"]
    reasons = [*_reasons(tables, "broken"), *_reasons(tables, "dropped")]
    if not reasons:
        return Section(head.id, head.title, head.short, [Text("Nothing was dropped, and nothing was broken.")])
    lead = (
        "A document is dropped by the first rule it breaks. Read a few of each: a rule that drops what you would keep "
        "can be loosened in the recipe. All of them are in curate/dropped."
    )
    blocks: list[Block] = [Text(lead), _counts(tables, reasons)]
    order = {reason: place for place, (reason, _) in enumerate(reasons)}
    shown = sorted(facts.samples.drops, key=lambda drop: order.get(drop.reason, len(order)))
    if shown:
        blocks.append(_samples(shown))
    return Section(head.id, head.title, head.short, blocks)


def _reasons(tables: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    """(reason, step) that occurred, in the order of the steps, then the commonest first."""
    sums: dict[str, int] = {}
    for table in tables.values():
        for reason, number in table[key].items():
            sums[reason] = sums.get(reason, 0) + number
    found = [(reason, BROKEN if key == "broken" else step_of(reason)) for reason in sums if sums[reason]]
    return sorted(found, key=lambda pair: (STEPS.index(pair[1]), -sums[pair[0]], pair[0]))


def _counts(tables: Mapping[str, Any], reasons: Sequence[tuple[str, str]]) -> Table:
    rows = []
    for reason, step in reasons:
        key = "broken" if step == BROKEN else "dropped"
        numbers = [table[key].get(reason, 0) for table in tables.values()]
        rows.append((words.reason(reason), step, *map(words.count, numbers), words.count(sum(numbers))))
    sums = [sum(table["dropped"].values()) + sum(table["broken"].values()) for table in tables.values()]
    total = ("all reasons", "", *map(words.count, sums), words.count(sum(sums)))
    return Table("Documents by reason", ("reason", "step", *tables, "all"), rows, words=2, total=total)


def _samples(shown: Sequence[Drop]) -> Table:
    rows = [
        (words.reason(drop.reason), drop.source, words.shortened(drop.detail, 60), _excerpt(drop), _end(drop.location))
        for drop in shown
        if drop.reason != "near_duplicate"  # those stand beside their twins further down
    ]
    columns = ("reason", "source", "figure", "how the text begins", "where")
    return Table("A few of each reason, drawn by the hash of their place", columns, rows, words=5)


def _end(location: str) -> str:
    """What tells one location from another stands at its end."""
    return location if len(location) <= LOCATION_CHARS else "…" + location[-LOCATION_CHARS + 1 :]


def _excerpt(drop: Drop) -> str:
    if drop.reason in UNSHOWN:
        return "not shown"
    return words.shortened(" ".join(drop.text.split()), EXCERPT_CHARS) or "no text"
