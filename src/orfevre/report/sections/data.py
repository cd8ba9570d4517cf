"""Where the text came from, what was dropped of it and why, and how many tokens are left."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import journey

SPLITS = ("train", "validation")


def sources(facts: Facts) -> Section:
    head = Section("sources", "Sources: what was read, kept and dropped", "Sources")
    if facts.stats is None:
        return Section(head.id, head.title, head.short, missing="curate")
    tables = facts.stats["sources"]
    reasons = _reasons(tables)
    read, kept = (sum(table[key] for table in tables.values()) for key in ("read", "kept"))
    lead = (
        f"{words.count(read)} documents were read from {len(tables)} sources; {words.count(kept)} "
        f"({words.share(kept / read if read else None)}) were kept. What was dropped is kept too, with its reason, "
        "in curate/dropped."
    )
    blocks: list[Block] = [Text(lead), _plot(tables, reasons), _counts(tables)]
    if reasons:
        blocks.append(_drop_table(tables, reasons))
    return Section(head.id, head.title, head.short, blocks)


def _reasons(tables: Mapping[str, Any]) -> list[str]:
    """Reasons that occurred, the commonest first."""
    sums: dict[str, int] = {}
    for table in tables.values():
        for reason, number in table["dropped"].items():
            sums[reason] = sums.get(reason, 0) + number
    return sorted((reason for reason in sums if sums[reason]), key=lambda reason: (-sums[reason], reason))


def _plot(tables: Mapping[str, Any], reasons: list[str]) -> Plot:
    parts = [
        f"{name} {words.share(table['kept'] / table['read'] if table['read'] else None, 0)}"
        for name, table in tables.items()
    ]
    return Plot(
        "sources", "Share of documents kept and dropped", f"Kept, of all documents read: {words.listing(parts)}.",
        partial(journey.drops, tables, reasons),
        "The rest of each bar is what was dropped; the reasons stand in the order of the legend.",
    )  # fmt: skip


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
    columns = (
        "source",
        "licence",
        "language",
        "files",
        "read",
        "kept",
        "bytes read",
        "bytes kept",
        "train",
        "validation",
    )
    return Table("Documents and bytes per source", columns, rows, words=3, total=total)


def _sum(tables: Mapping[str, Any], key: str) -> int:
    return sum(table[key] for table in tables.values())


def _drop_table(tables: Mapping[str, Any], reasons: list[str]) -> Table:
    rows = [
        (words.reason(reason), *(words.count(table["dropped"].get(reason, 0)) for table in tables.values()))
        for reason in reasons
    ]
    total = ("all reasons", *(words.count(sum(table["dropped"].values())) for table in tables.values()))
    return Table("Dropped documents by reason", ("reason", *tables), rows, total=total)


def tokens(facts: Facts) -> Section:
    head = Section("tokens", "Tokens and compression", "Tokens")
    if facts.index is None:
        return Section(head.id, head.title, head.short, missing="tokenize")
    tables = facts.index["sources"]
    ratios = {name: _bytes_per_token(table) for name, table in tables.items()}
    shown = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    in_all = sum(table["train"]["tokens"] for table in tables.values())
    lead = (
        f"A vocabulary of {words.count(facts.index['vocab_size'])} entries; {words.count(in_all)} training tokens. "
        "More bytes per token is better compression; losses are given in bits per byte, so that they compare across "
        "tokenizers."
    )
    blocks: list[Block] = [Text(lead), _token_table(tables, ratios)]
    if shown:
        parts = [f"{name} {ratio:.2f}" for name, ratio in shown.items()]
        blocks.append(
            Plot("compression", "Bytes per token", f"Bytes per token: {words.listing(parts)}.",
                 partial(journey.compression, shown))
        )  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def _bytes_per_token(table: Mapping[str, Any]) -> float | None:
    in_bytes, in_tokens = (sum(table[split][key] for split in SPLITS) for key in ("bytes", "tokens"))
    return in_bytes / in_tokens if in_tokens else None


def _token_table(tables: Mapping[str, Any], ratios: Mapping[str, float | None]) -> Table:
    in_all = sum(table["train"]["tokens"] for table in tables.values())
    rows = [
        (
            name, words.count(table["train"]["tokens"]),
            words.share(table["train"]["tokens"] / in_all if in_all else None),
            words.count(table["validation"]["tokens"]), words.count(table["train"]["documents"]),
            words.amount(table["train"]["bytes"], "B"), words.digits(ratios[name]),
        )
        for name, table in tables.items()
    ]  # fmt: skip
    columns = (
        "source",
        "train tokens",
        "share",
        "validation tokens",
        "train documents",
        "train bytes",
        "bytes per token",
    )
    return Table("Tokens per source", columns, rows)
