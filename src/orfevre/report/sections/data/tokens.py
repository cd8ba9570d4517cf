"""How many tokens there are of each source, how well they compress, and how often training may read them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import journey

SPLITS = ("train", "validation")
MOST = 20
"""Rows of the table of languages."""


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
    assert facts.fertility is not None  # written by the same stage
    fertility = _fertility(facts.fertility["sources"])
    blocks: list[Block] = [Text(lead), _token_table(tables, ratios), _epochs(facts, tables), fertility]
    if shown:
        parts = [f"{name} {ratio:.2f}" for name, ratio in shown.items()]
        blocks.append(
            Plot("compression", "Bytes per token", f"Bytes per token: {words.listing(parts)}.",
                 partial(journey.compression, shown))
        )  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def _epochs(facts: Facts, tables: Mapping[str, Any]) -> Table:
    """How far each source reaches: what training may read of it, and what the mixtures would read."""
    recipe = facts.recipe
    target = recipe["train"]["tokens"]
    limits = {source["name"]: source["max_epochs"] for source in recipe["sources"]}
    own = {name: table["train"]["tokens"] for name, table in tables.items()}
    in_all = sum(own.values())
    chosen = facts.mixture["weights"] if facts.mixture else {}
    rows = []
    for name, number in own.items():
        limit, weight = limits.get(name), chosen.get(name)
        natural = number / in_all if in_all else None
        rows.append((
            name, words.large(number), words.digits(limit, 2), words.large(number * limit) if limit else words.NONE,
            words.share(natural), _epochs_of(natural, target, number, limit),
            words.share(weight), _epochs_of(weight, target, number, limit),
        ))  # fmt: skip
    columns = ("source", "train tokens", "most epochs", "tokens to read", "natural share", "its epochs",
               "chosen share", "its epochs ")  # fmt: skip
    caption = f"Epochs available, and read in a run of {words.large(target)} tokens (* more than the source allows)"
    return Table(caption, columns, rows)


def _epochs_of(share: float | None, target: int, tokens: int, limit: float | None) -> str:
    if share is None or not tokens:
        return words.NONE
    epochs = share * target / tokens
    return words.digits(epochs, 2) + ("*" if limit and epochs > 1.005 * limit else "")


def _fertility(sources: Mapping[str, Any]) -> Table:
    """Tokens a word, by source and language; the languages with most text first."""
    amounts = [(name, code, amount) for name, own in sources.items() for code, amount in own.items()]
    amounts.sort(key=lambda entry: (-entry[2]["bytes"], entry[0], entry[1]))
    rows = [
        (
            name, code, words.count(amount["documents"]), words.amount(amount["bytes"], "B"),
            *(
                words.digits(amount[one] / amount[other] if amount[other] else None)
                for one, other in (("tokens", "words"), ("tokens", "characters"), ("bytes", "tokens"))
            ),
        )
        for name, code, amount in amounts[:MOST]
    ]  # fmt: skip
    more = f"; {len(amounts) - MOST} more in tokenize/fertility.json" if len(amounts) > MOST else ""
    columns = ("source", "language", "documents", "bytes", "tokens per word", "per character", "bytes per token")
    return Table(f"Fertility: how many tokens the text of each language takes{more}", columns, rows, words=2)


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
