"""A few documents of curate/ to look at: drops of every reason, near-duplicates beside what stays, languages.

Small columns are read whole, a batch at a time; texts only of the rows that are shown.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DROPS_PER_REASON = 2
PAIRS = 3
PAIR_CHARS = 3_000
ROWS_AT_ONCE = 65_536
UNSHOWN = frozenset({"forgotten", "personal"})
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


def gather(curated: Path, sources: Sequence[str]) -> Samples:
    """From the tables of a finished curate folder; the same rows from the same tables."""
    chosen = _chosen(curated, sources)
    rows = {row["id"]: row for source in sources for row in _rows(_dropped(curated, source), chosen.get(source, ()))}
    drops = [_drop(rows[identity]) for source in sources for identity in chosen.get(source, ()) if identity in rows]
    return Samples(_few_of_each(drops), list(_pairs(curated, sources, drops)), _languages(curated, sources))


def _dropped(curated: Path, source: str) -> Path:
    return curated / "dropped" / f"{source}.parquet"


def _documents(curated: Path, source: str) -> Path:
    return curated / "documents" / f"{source}.parquet"


def _chosen(curated: Path, sources: Sequence[str]) -> dict[str, list[str]]:
    """For each source the first ids of each reason: ids are hashes, so the first are drawn at random."""
    chosen: dict[str, list[str]] = {}
    for source in sources:
        found: dict[str, list[str]] = defaultdict(list)
        for batch in _batches(_dropped(curated, source), ("id", "reason")):
            reasons = batch.column("reason").to_pylist()
            for place, reason in enumerate(reasons):
                if len(found[reason]) < max(DROPS_PER_REASON, PAIRS):
                    found[reason].append(batch.column("id")[place].as_py())
        chosen[source] = [identity for reason in sorted(found) for identity in found[reason]]
    return chosen


def _few_of_each(drops: Sequence[Drop]) -> list[Drop]:
    """DROPS_PER_REASON of each reason, of different sources first."""
    by_reason: dict[str, list[Drop]] = defaultdict(list)
    for drop in drops:
        by_reason[drop.reason].append(drop)
    few = []
    for own in by_reason.values():
        first = [drop for place, drop in enumerate(own) if drop.source not in {other.source for other in own[:place]}]
        rest = [drop for drop in own if drop not in first]
        few += [*first, *rest][:DROPS_PER_REASON]
    return few


def _drop(row: dict[str, Any]) -> Drop:
    text = "" if row["reason"] in UNSHOWN else row["text"] or ""
    return Drop(row["reason"], row["source"], row["location"], row["detail"] or "", text[:PAIR_CHARS])


def _pairs(curated: Path, sources: Sequence[str], drops: Sequence[Drop]) -> Iterator[Pair]:
    near = [drop for drop in drops if drop.reason == "near_duplicate" and drop.text and _ID.fullmatch(drop.detail)]
    num_found = 0
    for drop in near:
        twin = next((row for name in sources for row in _rows(_documents(curated, name), [drop.detail])), None)
        if twin is not None and num_found < PAIRS:
            num_found += 1
            yield Pair(drop, twin["source"], twin["location"], twin["text"][:PAIR_CHARS])


def _languages(curated: Path, sources: Sequence[str]) -> dict[str, Language]:
    languages: dict[str, Language] = defaultdict(Language)
    for source in sources:
        for batch in _batches(_documents(curated, source), ("language", "language_confidence", "num_bytes")):
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
