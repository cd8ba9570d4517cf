"""The last step: one source's documents and drops, ordered by id, range of ids after range of ids.

Ids are hashes, so equal ranges of ids hold about equal amounts of text: a source is as many ranges as it has
RANGE_BYTES of text, whatever parts it was read in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orfevre.curate import parts
from orfevre.curate.choose import EXACT, KEPT, NEAR
from orfevre.curate.counts import Counts
from orfevre.curate.settle import look_up
from orfevre.curate.split import Split
from orfevre.data.documents import DOCUMENTS, DROPPED, TRAIN, VALIDATION, TableWriter
from orfevre.recipe import Source

RANGE_BYTES = 64 * 2**20
"""Text sorted in memory at once."""

DROPPED_BEFORE = 255
"""Status of a row that a step had dropped, or a reader found broken."""


@dataclass(frozen=True)
class Task:
    """What one source's files are written from; fates of its own (settle.FATE) lie in `fates`."""

    source: Source
    parts: tuple[Path, ...]
    text_bytes: int
    fates: Path
    split: Split
    out: Path
    range_bytes: int = RANGE_BYTES


def write_source(task: Task) -> dict[str, Any]:
    """Write documents/<source>.parquet and dropped/<source>.parquet; return the source's counts."""
    fates = np.load(task.fates, mmap_mode="r")
    counts = Counts()
    name = f"{task.source.name}.parquet"
    with (
        TableWriter(task.out / "documents" / name, DOCUMENTS) as kept,
        TableWriter(task.out / "dropped" / name, DROPPED) as dropped,
    ):
        for rows in _ranges(task):
            ids = rows.column("id").to_numpy()
            order = np.argsort(ids)  # ids differ, so there is but one order
            own = _fates_of(ids[order], np.asarray(rows.column("reason").is_null())[order], fates)
            stays = own["status"] == KEPT
            documents = _documents(rows.take(pa.array(order[stays])), own[stays], task)
            left_out = rows.take(pa.array(order[~stays]))
            gone = _dropped(left_out, own[~stays], task.source)
            kept.write(documents)
            dropped.write(gone)
            counts.add(documents, gone, left_out.column("broken"))
    return counts.table()


def _ranges(task: Task) -> Iterator[Any]:
    """Tables of the rows of one range of ids, range after range."""
    num_ranges = max(1, -(-task.text_bytes // task.range_bytes))
    bounds = [2**64 * place // num_ranges for place in range(num_ranges + 1)]
    for low, high in pairwise(bounds):
        batches = [batch for part in task.parts for batch in parts.read(part, low, high)]
        if batches:
            yield pa.Table.from_batches(batches, parts.ROWS).combine_chunks()


def _fates_of(ids: NDArray[np.uint64], passed: NDArray[np.bool_], fates: NDArray[np.void]) -> NDArray[np.void]:
    """The fate of every row, ids ascending."""
    own = np.zeros(len(ids), fates.dtype)
    own["status"] = DROPPED_BEFORE
    own[passed] = look_up(fates, ids[passed])
    return own


def _documents(rows: Any, own: NDArray[np.void], task: Task) -> Any:
    made = {
        "id": _hexadecimal(rows.column("id").to_numpy()),
        "source": pa.repeat(task.source.name, len(rows)),
        "sha256": _digests(rows.column("sha256")),
        "raw_sha256": _digests(rows.column("raw_sha256")),
        "group": _hexadecimal(own["group"]),
        "split": pa.array(np.where(task.split.held_out(own["group"]), VALIDATION, TRAIN), pa.string()),
    }
    return _table(DOCUMENTS, made, rows)


def _dropped(rows: Any, own: NDArray[np.void], source: Source) -> Any:
    names = {EXACT: "exact_duplicate", NEAR: "near_duplicate"}
    duplicate = pa.array([names.get(status) for status in own["status"].tolist()], pa.string())
    made = {
        "id": _hexadecimal(rows.column("id").to_numpy()),
        "source": pa.repeat(source.name, len(rows)),
        "reason": pc.coalesce(rows.column("reason"), duplicate),
        "detail": pc.if_else(pc.is_valid(duplicate), _hexadecimal(own["twin"]), rows.column("detail")),
        "raw_sha256": _digests(rows.column("raw_sha256")),
    }
    return _table(DROPPED, made, rows)


def _table(schema: Any, made: dict[str, Any], rows: Any) -> Any:
    return pa.table({name: made[name] if name in made else rows.column(name) for name in schema.names}, schema)


def _hexadecimal(numbers: NDArray[np.uint64]) -> Any:
    """16 digits each."""
    return _hex_of(numbers.astype(">u8").tobytes(), 8)


def _digests(column: Any) -> Any:
    """32 bytes as 64 hexadecimal digits; null stays null."""
    known = column.drop_null()
    digits = _hex_of(b"".join(known.to_pylist()), 32)
    if len(known) == len(column):
        return digits
    return pc.replace_with_mask(pa.nulls(len(column), pa.string()), pc.is_valid(column).combine_chunks(), digits)


def _hex_of(data: bytes, width: int) -> Any:
    """Strings of 2 x width hexadecimal digits, without one Python object each."""
    count = len(data) // width
    offsets = np.arange(count + 1, dtype=np.int32) * (2 * width)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data.hex().encode()))
