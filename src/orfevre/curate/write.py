"""The last step: one source's documents and drops, ordered by id, range of ids after range of ids.

Ids are hashes, so equal ranges of ids hold about equal amounts of text: a source is as many ranges as it has
RANGE_BYTES of text, whatever parts it was read in.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orfevre.curate import domains, parts
from orfevre.curate.choose import EXACT, KEPT, NEAR
from orfevre.curate.counts import Counts
from orfevre.curate.settle import look_up
from orfevre.curate.split import Split
from orfevre.data.documents import DOCUMENTS, DROPPED, TRAIN, VALIDATION, TableWriter, path_of
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
    labels: tuple[Path, ...] = ()
    """Where the source is split: the part of each of its documents (domains.LABEL), a file for each of `parts`."""
    range_bytes: int = RANGE_BYTES

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sources that are written: the parts of one that is split."""
        return self.source.parts if self.labels else (self.source.name,)


def write_source(task: Task) -> dict[str, Any]:
    """Write documents/<source>.parquet, or one of each part, and dropped/<source>.parquet; return the source's counts,
    with those of its parts where it is split."""
    fates = np.load(task.fates, mmap_mode="r")
    counts, of_parts = Counts(), [Counts() for _ in task.names]
    with ExitStack() as stack:
        kept = [stack.enter_context(TableWriter(path_of(task.out, name), DOCUMENTS)) for name in task.names]
        dropped = stack.enter_context(TableWriter(task.out / "dropped" / f"{task.source.name}.parquet", DROPPED))
        for low, high, rows in _ranges(task):
            ids = rows.column("id").to_numpy()
            order = np.argsort(ids)  # ids differ, so there is but one order
            own = _fates_of(ids[order], np.asarray(rows.column("reason").is_null())[order], fates)
            stays = own["status"] == KEPT
            part = _parts_of(ids[order[stays]], low, high, task)
            documents = _documents(rows.take(pa.array(order[stays])), own[stays], part, task)
            left_out = rows.take(pa.array(order[~stays]))
            gone = _dropped(left_out, own[~stays], task.source)
            for number, own_documents in enumerate(_by_part(documents, part, task)):
                kept[number].write(own_documents)
                if task.labels:
                    of_parts[number].add_kept(own_documents)
            dropped.write(gone)
            counts.add(documents, gone, left_out.column("broken"))
    found = {name: own.kept() for name, own in zip(task.names, of_parts, strict=True)}
    return counts.table() | ({"parts": found} if task.labels else {})


def _parts_of(ids: NDArray[np.uint64], low: int, high: int, task: Task) -> NDArray[np.uint8]:
    """The number of each kept document's part, ids ascending; 0 where the source is whole."""
    if not task.labels:
        return np.zeros(len(ids), np.uint8)
    found = domains.between(task.labels, low, high)
    assert np.array_equal(found["id"], ids), "every kept document has a part"
    return np.array(found["part"])


def _by_part(documents: Any, part: NDArray[np.uint8], task: Task) -> Sequence[Any]:
    """Tables of the documents of each part."""
    if not task.labels:
        return [documents]
    return [documents.take(pa.array(np.flatnonzero(part == number))) for number in range(len(task.names))]


def _ranges(task: Task) -> Iterator[tuple[int, int, Any]]:
    """Ranges of ids, each with a table of its rows."""
    num_ranges = max(1, -(-task.text_bytes // task.range_bytes))
    bounds = [2**64 * place // num_ranges for place in range(num_ranges + 1)]
    for low, high in pairwise(bounds):
        batches = [batch for part in task.parts for batch in parts.read(part, low, high)]
        if batches:
            yield low, high, pa.Table.from_batches(batches, parts.ROWS).combine_chunks()


def _fates_of(ids: NDArray[np.uint64], passed: NDArray[np.bool_], fates: NDArray[np.void]) -> NDArray[np.void]:
    """The fate of every row, ids ascending."""
    own = np.zeros(len(ids), fates.dtype)
    own["status"] = DROPPED_BEFORE
    own[passed] = look_up(fates, ids[passed])
    return own


def _documents(rows: Any, own: NDArray[np.void], part: NDArray[np.uint8], task: Task) -> Any:
    made = {
        "id": _hexadecimal(rows.column("id").to_numpy()),
        "source": pa.array(task.names, pa.string()).take(pa.array(part)),
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
