"""Part files: what one unit has read, between sifting and writing. Scratch, so nothing is compressed.

    part-000000.arrow        rows ordered by id, in record batches of about BATCH_BYTES of text
    part-000000.firsts.npy   uint64: the first id of each record batch

lz4 would halve them, but costs more CPU time than all the rest of a part, and nearly as much as zstd does in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from orfevre.curate.draft import Draft

ROWS = pa.schema(
    [
        ("id", pa.uint64()),
        ("location", pa.string()),
        ("text", pa.string()),
        ("language", pa.string()),
        ("language_confidence", pa.float32()),
        ("licence", pa.string()),
        ("url", pa.string()),
        ("title", pa.string()),
        ("date", pa.string()),
        ("acquired", pa.string()),
        ("num_bytes", pa.int64()),
        ("sha256", pa.binary(32)),
        ("raw_sha256", pa.binary(32)),
        ("quality", pa.float32()),
        ("edits", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("broken", pa.bool_()),
    ]
)
"""A part's rows. `reason` is null for a document that passed every step; `broken` marks what was no record at all;
`text` is null where there is none."""

BATCH_BYTES = 128 * 2**10
"""Text in a record batch: small, since the last step picks ranges of ids out of every part."""


@dataclass(slots=True)
class Row:
    """A draft that has gone through the steps, or what was broken."""

    id: int
    draft: Draft
    encoded: bytes | None
    """UTF-8 of its text."""
    num_bytes: int
    sha256: bytes | None
    raw_sha256: bytes | None
    acquired: str
    edits: str
    broken: bool


def write(path: Path, rows: Sequence[Row]) -> None:
    """`rows` are ordered by id."""
    bounds = _bounds(rows)
    table = pa.RecordBatch.from_arrays(_columns(rows), schema=ROWS)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, ROWS) as writer:
        for start, end in pairwise(bounds):
            writer.write_batch(table.slice(start, end - start))
    firsts = np.array([rows[start].id for start in bounds[:-1]], np.uint64)
    np.save(path.with_suffix(".firsts.npy"), firsts, allow_pickle=False)


def read(path: Path, low: int, high: int) -> list[Any]:
    """The part's rows with low <= id < high, as record batches in order of id."""
    firsts = np.load(path.with_suffix(".firsts.npy"))
    begin = max(int(np.searchsorted(firsts, np.uint64(low), side="right")) - 1, 0)
    end = len(firsts) if high > int(firsts[-1]) else int(np.searchsorted(firsts, np.uint64(high)))
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as opened:
        batches = [opened.get_batch(place) for place in range(begin, end)]
    return [kept for batch in batches if len(kept := _between(batch, low, high))]


def _between(batch: Any, low: int, high: int) -> Any:
    ids = batch.column("id").to_numpy()
    begin = int(np.searchsorted(ids, np.uint64(low)))
    end = len(ids) if high > int(ids[-1]) else int(np.searchsorted(ids, np.uint64(high)))
    return batch.slice(begin, end - begin)


def _bounds(rows: Sequence[Row]) -> list[int]:
    """Where each record batch begins, and the number of rows."""
    bounds, held = [0], 0
    for place, row in enumerate(rows):
        if held >= BATCH_BYTES:
            bounds.append(place)
            held = 0
        held += len(row.encoded or b"")
    return [*bounds, len(rows)]


def _columns(rows: Sequence[Row]) -> list[Any]:
    """In the order of ROWS."""
    drafts = [row.draft for row in rows]
    facts = [draft.facts for draft in drafts]
    drops = [draft.drop for draft in drafts]
    columns: dict[str, Any] = {
        "id": np.array([row.id for row in rows], np.uint64),
        "location": [draft.location for draft in drafts],
        "text": pa.array([row.encoded for row in rows], pa.binary()).view(pa.string()),
        "language": [draft.language for draft in drafts],
        "language_confidence": [draft.language_confidence for draft in drafts],
        "licence": [draft.licence for draft in drafts],
        "url": [fact.url for fact in facts],
        "title": [fact.title for fact in facts],
        "date": [fact.date for fact in facts],
        "acquired": [row.acquired for row in rows],
        "num_bytes": [row.num_bytes for row in rows],
        "sha256": [row.sha256 for row in rows],
        "raw_sha256": [row.raw_sha256 for row in rows],
        "quality": [draft.quality for draft in drafts],
        "edits": [row.edits for row in rows],
        "reason": [drop and drop.reason for drop in drops],
        "detail": [drop and drop.detail for drop in drops],
        "broken": [row.broken for row in rows],
    }
    return [
        columns[field.name] if isinstance(columns[field.name], pa.Array) else pa.array(columns[field.name], field.type)
        for field in ROWS
    ]
