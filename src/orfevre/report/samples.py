"""A few documents of curate/ to look at: drops of every reason, near-duplicates beside what stays, languages.

Small columns are read whole, a batch at a time; texts only of the rows that are shown.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DROPS_PER_REASON = 2
PAIRS = 3
PAIR_CHARS = 3_000
ROWS_AT_ONCE = 65_536
UNSHOWN = frozenset({"forgotten", "opt_out", "personal_data"})
"""Reasons whose texts are not to be shown in a page that people send around."""

_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Drop:
    reason: str
    source: str
    location: str
    detail: str
    text: str
    """Its beginning; empty where there is none or it must not be shown."""


@dataclass(frozen=True)
class Pair:
    """A near-duplicate that was dropped, and the document that stays."""

    dropped: Drop
    kept_source: str
    kept_location: str
    kept_text: str


@dataclass
class Language:
    documents: int = 0
    bytes: int = 0
    sure: int = 0
    """Documents whose language an identifier named."""

    confidence: float = 0.0
    """Sum over those."""


@dataclass(frozen=True)
class Samples:
    drops: Sequence[Drop] = ()
    pairs: Sequence[Pair] = ()
    languages: dict[str, Language] = field(default_factory=dict)
    reserved: Mapping[str, int] = field(default_factory=dict)
    """Documents that each opt-out rule dropped."""


def gather(curated: Path) -> Samples:
    """From the tables of a finished curate folder; the same rows from the same tables."""
    documents, dropped = (sorted((curated / kind).glob("*.parquet")) for kind in ("documents", "dropped"))
    reserved: Counter[str] = Counter()
    drops = [drop for path in dropped for drop in _chosen(path, reserved)]
    return Samples(_few_of_each(drops), list(_pairs(documents, drops)), _languages(documents), dict(reserved))


def _chosen(path: Path, reserved: Counter[str]) -> list[Drop]:
    """The first of each reason: ids are hashes, so the first are drawn at random. Opt-outs are counted by rule."""
    found: dict[str, list[str]] = defaultdict(list)
    for batch in _batches(path, ("id", "reason", "detail")):
        for place, reason in enumerate(batch.column("reason").to_pylist()):
            if len(found[reason]) < max(DROPS_PER_REASON, PAIRS):
                found[reason].append(batch.column("id")[place].as_py())
            if reason == "opt_out":  # detail: the rule's name, a colon, what it found
                reserved[batch.column("detail")[place].as_py().partition(":")[0]] += 1
    rows = _rows(path, [identity for own in found.values() for identity in own])
    return [_drop(row) for row in sorted(rows, key=lambda row: (row["reason"], row["id"]))]


def _few_of_each(drops: Sequence[Drop]) -> list[Drop]:
    """DROPS_PER_REASON of each reason, of different sources first."""
    by_reason: dict[str, list[Drop]] = defaultdict(list)
    for drop in drops:
        by_reason[drop.reason].append(drop)
    few = []
    for own in by_reason.values():
        few += _of_different_sources(own)[:DROPS_PER_REASON]
    return few


def _of_different_sources(drops: Sequence[Drop]) -> list[Drop]:
    """The first of each source, then the rest."""
    first = [drop for place, drop in enumerate(drops) if drop.source not in {other.source for other in drops[:place]}]
    return [*first, *(drop for drop in drops if drop not in first)]


def _drop(row: dict[str, Any]) -> Drop:
    text = "" if row["reason"] in UNSHOWN else row["text"] or ""
    return Drop(row["reason"], row["source"], row["location"], row["detail"] or "", text[:PAIR_CHARS])


def _pairs(documents: Sequence[Path], drops: Sequence[Drop]) -> Iterator[Pair]:
    near = [drop for drop in drops if drop.reason == "near_duplicate" and drop.text and _ID.fullmatch(drop.detail)]
    near = _of_different_sources(near)
    num_found = 0
    for drop in near:
        twin = next((row for path in documents for row in _rows(path, [drop.detail])), None)
        if twin is not None and num_found < PAIRS:
            num_found += 1
            yield Pair(drop, twin["source"], twin["location"], twin["text"][:PAIR_CHARS])


def _languages(documents: Sequence[Path]) -> dict[str, Language]:
    languages: dict[str, Language] = defaultdict(Language)
    for path in documents:
        for batch in _batches(path, ("language", "language_confidence", "num_bytes")):
            columns = (batch.column(name).to_pylist() for name in ("language", "language_confidence", "num_bytes"))
            for code, confidence, num_bytes in zip(*columns, strict=True):
                own = languages[code]
                own.documents += 1
                own.bytes += num_bytes
                own.sure += bool(confidence)
                own.confidence += confidence or 0.0
    return dict(languages)


def _batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(columns))


def _rows(path: Path, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Whole rows of these ids; the tables are ordered by id, so few row groups are read."""
    if not ids:
        return []
    import pyarrow.dataset as ds

    found: list[dict[str, Any]] = (
        ds.dataset(path, format="parquet").to_table(filter=ds.field("id").isin(list(ids))).to_pylist()
    )
    return found
