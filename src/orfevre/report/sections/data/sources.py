"""The funnel: what was read from each source, what each step took out of it, and what is left."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import journey
from orfevre.report.sections.data.steps import STEPS, steps_of

SPLITS = ("train", "validation")


def sources(facts: Facts) -> Section:
    head = Section("sources", "Sources: what was read, kept and dropped", "Sources")
    if facts.stats is None:
        return Section(head.id, head.title, head.short, missing="curate")
    tables = facts.stats["sources"]
    taken = {name: steps_of(table) for name, table in tables.items()}
    read, kept = (sum(table[key] for table in tables.values()) for key in ("read", "kept"))
    lead = (
        f"{words.count(read)} documents were read from {len(tables)} sources; {words.count(kept)} "
        f"({words.share(kept / read if read else None)}) were kept. What was dropped is kept too, with its reason, "
        "in curate/dropped."
    )
    blocks: list[Block] = [Text(lead), _plot(tables, taken), _funnel(tables, taken), _counts(tables)]
    skipped = _skipped(tables)
    if skipped is not None:
        blocks.append(skipped)
    return Section(head.id, head.title, head.short, blocks)


def _present(taken: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [step for step in STEPS if any(own.get(step) for own in taken.values())]


def _plot(tables: Mapping[str, Any], taken: Mapping[str, Mapping[str, int]]) -> Plot:
    parts = [
        f"{name} {words.share(table['kept'] / table['read'] if table['read'] else None, 0)}"
        for name, table in tables.items()
    ]
    shares = {
        name: {
            "kept": _part(table["kept"], table["read"]),
            **{step: _part(taken[name].get(step, 0), table["read"]) for step in _present(taken)},
        }
        for name, table in tables.items()
    }
    return Plot(
        "sources", "Share of documents kept, and taken out by each step",
        f"Kept, of all documents read: {words.listing(parts)}.", partial(journey.drops, shares),
        "The rest of each bar is what was taken out, in the order of the steps.",
    )  # fmt: skip


def _part(number: int, of: int) -> float:
    return number / of if of else 0.0


def _funnel(tables: Mapping[str, Any], taken: Mapping[str, Mapping[str, int]]) -> Table:
    """What is left after each step that took something out."""
    steps = _present(taken)
    rows = [(name, *_left(table["read"], taken[name], steps)) for name, table in tables.items()]
    sums = {step: sum(own.get(step, 0) for own in taken.values()) for step in steps}
    total = ("all", *_left(sum(table["read"] for table in tables.values()), sums, steps))
    columns = ("source", "read", *(f"after {step}" for step in steps))
    return Table("Documents left after each step", columns, rows, total=total)


def _left(read: int, taken: Mapping[str, int], steps: Sequence[str]) -> list[str]:
    left = [read]
    for step in steps:
        left.append(left[-1] - taken.get(step, 0))
    return [words.count(number) for number in left]


def _counts(tables: Mapping[str, Any]) -> Table:
    rows = [
        (
            name, table["licence"], table["language"], words.count(table["files"]), words.count(table["read"]),
            words.count(table["kept"]), words.amount(table["raw_bytes"], "B"), words.amount(table["kept_bytes"], "B"),
            words.count(table["train"]["documents"]), words.count(table["validation"]["documents"]),
        )
        for name, table in tables.items()
    ]  # fmt: skip
    total = (
        "all", "", "", *(words.count(_sum(tables, key)) for key in ("files", "read", "kept")),
        *(words.amount(_sum(tables, key), "B") for key in ("raw_bytes", "kept_bytes")),
        *(words.count(sum(table[split]["documents"] for table in tables.values())) for split in SPLITS),
    )  # fmt: skip
    columns = ("source", "licence", "language", "files", "read", "kept", "bytes read", "bytes kept", *SPLITS)
    return Table("Documents and bytes per source", columns, rows, words=3, total=total)


def _skipped(tables: Mapping[str, Any]) -> Table | None:
    """What archives hold that never was to be a document; None where there is nothing of the kind."""
    kinds = sorted({kind for table in tables.values() for kind in table["skipped"]})
    if not kinds:
        return None
    rows = [
        (words.reason(kind), *(words.count(table["skipped"].get(kind, 0)) for table in tables.values()))
        for kind in kinds
    ]  # fmt: skip
    return Table("What archives hold beside documents, by kind", ("kind", *tables), rows)


def _sum(tables: Mapping[str, Any], key: str) -> int:
    return sum(table[key] for table in tables.values())
