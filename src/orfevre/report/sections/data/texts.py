"""What the kept texts are: their languages, their licences, and what was done to them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.samples import Language

MOST = 25
"""Rows of a table; the rest are summed up in one."""


def texts(facts: Facts) -> Section:
    head = Section("texts", "Languages, licences and edits", "Texts")
    if facts.stats is None or facts.samples is None:
        return Section(head.id, head.title, head.short, missing="curate")
    tables = facts.stats["sources"]
    blocks: list[Block] = [
        Text(
            "Of the documents that were kept. A language is the one that was identified, with the identifier's own "
            "confidence; where it had none, the one the source declares. A licence is what the document itself "
            "declares, or else its source's."
        ),
        _languages(facts.samples.languages),
        _licences(tables),
    ]
    if facts.samples.reserved:
        rows = [(rule, words.count(number)) for rule, number in sorted(facts.samples.reserved.items())]
        blocks.append(
            Table("Documents that were dropped because their owners reserved them", ("rule", "documents"), rows)
        )
    if domains := facts.stats.get("domains"):
        blocks.append(_domains(domains))
    edits = _edits(tables)
    if edits is not None:
        blocks.append(edits)
    return Section(head.id, head.title, head.short, blocks)


def _languages(languages: Mapping[str, Language]) -> Table:
    in_all = sum(own.bytes for own in languages.values())
    ordered = sorted(languages.items(), key=lambda item: (-item[1].bytes, item[0]))
    rows = [
        (
            code, words.count(own.documents), words.amount(own.bytes, "B"),
            words.share(own.bytes / in_all if in_all else None), words.count(own.sure),
            f"{own.confidence / own.sure:.3f}" if own.sure else words.NONE,
        )
        for code, own in ordered[:MOST]
    ]  # fmt: skip
    if rest := ordered[MOST:]:
        documents, size = sum(own.documents for _, own in rest), sum(own.bytes for _, own in rest)
        rows.append(
            (f"{len(rest)} more", words.count(documents), words.amount(size, "B"), words.share(size / in_all), "", "")
        )
    columns = ("language", "documents", "bytes", "share of bytes", "identified", "mean confidence")
    return Table("Documents and bytes per language", columns, rows)


def _licences(tables: Mapping[str, Any]) -> Table:
    counts: Counter[str] = Counter()
    used_by: dict[str, list[str]] = {}
    for name, table in tables.items():
        counts.update(table["licences"])
        for licence in table["licences"]:
            used_by.setdefault(licence, []).append(name)
    in_all = counts.total()
    ordered = sorted(counts, key=lambda licence: (-counts[licence], licence))
    rows = [
        (
            words.shortened(licence, 120) or "none stated", words.shortened(", ".join(used_by[licence]), 80),
            words.count(counts[licence]), words.share(counts[licence] / in_all),
        )
        for licence in ordered[:MOST]
    ]  # fmt: skip
    if rest := ordered[MOST:]:
        number = sum(counts[licence] for licence in rest)
        rows.append((f"{len(rest)} more", "", words.count(number), words.share(number / in_all)))
    return Table("Documents per licence", ("licence", "sources", "documents", "share"), rows, words=2)


def _domains(domains: Mapping[str, Any]) -> Table:
    """Sources that were split by what their texts are about, and the words that tell each part from the rest."""
    rows = [
        (name, words.shortened(", ".join(own["words"]), 160), words.count(own["documents"]))
        for name, own in domains.items()
    ]  # fmt: skip
    return Table("Parts that coarse sources were split into", ("part", "its words", "documents"), rows, words=2)


def _edits(tables: Mapping[str, Any]) -> Table | None:
    """Repairs and masked personal data, by kind; None where nothing was done."""
    kinds = sorted({kind for table in tables.values() for kind in table["edits"]})
    if not kinds:
        return None
    rows = [
        (
            words.reason(kind), *(words.count(table["edits"].get(kind, 0)) for table in tables.values()),
            words.count(sum(table["edits"].get(kind, 0) for table in tables.values())),
        )
        for kind in kinds
    ]  # fmt: skip
    return Table("What was mended or masked in texts that were kept", ("edit", *tables, "all"), rows)
