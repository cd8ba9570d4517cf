"""Evaluation sets and training text: what was dropped for holding their items, and what is left of them."""

from collections.abc import Mapping
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Section, Table, Text
from orfevre.report.facts import Facts

MOST = 12
"""Items listed."""


def contamination(facts: Facts) -> Section:
    head = Section("contamination", "Evaluation sets in the training text", "Contamination")
    if facts.stats is None:
        return Section(head.id, head.title, head.short, missing="curate")
    found = facts.contamination
    if found is None:
        said = "The recipe names no evaluation sets ([[tasks]]), so training text was not compared with any."
        return Section(head.id, head.title, head.short, [Text(said, "note")])
    tasks = found["tasks"]
    dirty, dropped = (sum(task[key] for task in tasks.values()) for key in ("dirty", "documents_dropped"))
    lead = (
        f"A document that holds at least {words.share(found['min_overlap'], 0)} of an item's {found['ngram']}-word "
        f"sequences is dropped: {words.count(dropped)} were, for {words.count(dirty)} items. Those items are known to "
        "be public; scores on them may flatter models trained elsewhere. What kept documents share with items is below "
        "that share, and listed too."
    )
    blocks: list[Block] = [Text(lead), _tasks(tasks)]
    if any(task["found"] for task in tasks.values()):
        blocks.append(_items(tasks))
    return Section(head.id, head.title, head.short, blocks)


def _tasks(tasks: Mapping[str, Any]) -> Table:
    keys = ("items", "not_checked", "dirty", "documents_dropped", "partly_in_documents")
    rows = [(name, *(words.count(task[key]) for key in keys), _largest(task)) for name, task in tasks.items()]
    columns = (
        "task", "items", "too short or common", "found in drops", "documents dropped", "partly in kept documents",
        "largest share kept",
    )  # fmt: skip
    return Table("Items of each evaluation set", columns, rows)


def _largest(task: Mapping[str, Any]) -> str:
    shares = [row["kept"]["overlap"] for row in task["found"]]
    return words.share(max(shares), 0) if shares and max(shares) else words.NONE


def _items(tasks: Mapping[str, Any]) -> Table:
    """The items with the largest shares."""
    found = [(name, row) for name, task in tasks.items() for row in task["found"]]
    found.sort(key=lambda pair: -max(pair[1][side]["overlap"] for side in ("dropped", "kept")))
    rows = [
        (
            name, row["location"], words.count(row["dropped"]["documents"]), _share(row["dropped"]),
            words.count(row["kept"]["documents"]), _share(row["kept"]),
        )
        for name, row in found[:MOST]
    ]  # fmt: skip
    more = f"; {words.count(len(found) - MOST)} more in curate/contamination.json" if len(found) > MOST else ""
    columns = ("task", "item", "documents dropped", "largest share", "documents kept", "their largest share")
    return Table(f"Items that training text shares most with{more}", columns, rows, words=2)


def _share(side: Mapping[str, Any]) -> str:
    return words.share(side["overlap"], 0) if side["documents"] else words.NONE
