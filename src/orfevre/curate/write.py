"""The last step: one source's documents and drops, ordered by id, range of ids after range of ids."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orfevre.curate import dedup
from orfevre.data.documents import DOCUMENTS, DROPPED, TRAIN, VALIDATION, TableWriter
from orfevre.recipe import Source

RANGE_BYTES = 128 * 2**20
"""Text sorted in memory at once."""


@dataclass(frozen=True)
class Task:
    """What one source's files are written from; its FATE array lies in `fates`."""

    source: Source
    parts: tuple[Path, ...]
    fates: Path
    out: Path
    range_bytes: int = RANGE_BYTES


def write_source(task: Task) -> dict[str, Any]:
    """Write documents/<source>.parquet and dropped/<source>.parquet; return the source's counts."""
    fates = np.load(task.fates)
    count = _Count()
    name = f"{task.source.name}.parquet"
    with (
        TableWriter(task.out / "documents" / name, DOCUMENTS) as kept,
        TableWriter(task.out / "dropped" / name, DROPPED) as dropped,
    ):
        for rows in _ranges(task):
            own = _fates_of(rows, fates)
            stays = own["status"] == dedup.KEPT
            documents = _documents(rows.filter(pa.array(stays)), own[stays], task.source)
            gone = _dropped(rows.filter(pa.array(~stays)), own[~stays], task.source)
            kept.write(documents)
            dropped.write(gone)
            count.add(documents, gone)
    return count.table()


def _ranges(task: Task) -> Iterator[Any]:
    """All rows of the source in order of id, in tables of about range_bytes."""
    parts = [str(part) for part in task.parts]
    if not parts:
        return
    sizes = pa.concat_tables([pq.read_table(part, columns=["id", "num_bytes"]) for part in parts])
    order = np.argsort(ids := _numbers(sizes.column("id")), kind="stable")
    ends = np.cumsum(sizes.column("num_bytes").to_numpy()[order])
    cuts = [sizes.column("id")[int(order[place])].as_py() for place in _cuts(ends, task.range_bytes)]
    del ids
    data = ds.dataset(parts, format="parquet")
    for low, high in zip(["", *cuts], [*cuts, "g"], strict=True):  # "g" follows every hexadecimal digit
        inside = (ds.field("id") >= low) & (ds.field("id") < high)
        yield data.to_table(filter=inside, use_threads=False).sort_by("id").combine_chunks()


def _cuts(ends: NDArray[np.int64], size: int) -> list[int]:
    """Places where a new range begins."""
    wanted = np.arange(size, int(ends[-1]) if len(ends) else 0, size)
    return sorted(set(np.searchsorted(ends, wanted).tolist()) - {0, len(ends)})


def _numbers(ids: Any) -> NDArray[np.uint64]:
    return np.fromiter((int(text, 16) for text in ids.to_pylist()), np.uint64, len(ids))


def _fates_of(rows: Any, fates: NDArray[np.void]) -> NDArray[np.void]:
    """The fate of every row; rows that a rule dropped have status 255."""
    own = np.zeros(len(rows), fates.dtype)
    own["status"] = 255
    passed = np.asarray(rows.column("reason").is_null())
    own[passed] = fates[np.searchsorted(fates["id"], _numbers(rows.column("id").filter(pa.array(passed))))]
    return own


def _documents(rows: Any, own: NDArray[np.void], source: Source) -> Any:
    columns = {name: rows.column(name) for name in ("id", "location", "text", "language", "num_bytes", "sha256")}
    columns |= {
        "source": pa.repeat(source.name, len(rows)),
        "licence": pa.repeat(source.licence, len(rows)),
        "group": _hexadecimal(own["group"]),
        "split": pa.array(np.where(own["held_out"], VALIDATION, TRAIN).tolist(), pa.string()),
    }
    return pa.table(columns)


def _dropped(rows: Any, own: NDArray[np.void], source: Source) -> Any:
    twin = _hexadecimal(own["twin"])
    names = {dedup.EXACT: "exact_duplicate", dedup.NEAR: "near_duplicate"}
    duplicate = pa.array([names.get(status) for status in own["status"].tolist()], pa.string())
    columns = {name: rows.column(name) for name in ("id", "location", "num_bytes", "text")}
    columns |= {
        "source": pa.repeat(source.name, len(rows)),
        "reason": pc.coalesce(rows.column("reason"), duplicate),
        "detail": pc.if_else(pc.is_valid(duplicate), twin, rows.column("detail")),
    }
    return pa.table(columns)


def _hexadecimal(numbers: NDArray[np.uint64]) -> Any:
    return pa.array([f"{number:016x}" for number in numbers.tolist()], pa.string())


class _Count:
    """Sums over the tables written, for stats.json."""

    def __init__(self) -> None:
        self._dropped: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._documents: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, documents: Any, dropped: Any) -> None:
        self._dropped.update(dropped.column("reason").to_pylist())
        self._languages.update(documents.column("language").to_pylist())
        splits, sizes = documents.column("split").to_pylist(), documents.column("num_bytes").to_pylist()
        self._documents.update(splits)
        for side, size in zip(splits, sizes, strict=True):
            self._bytes[side] += size

    def table(self) -> dict[str, Any]:
        kept = self._documents.total()
        return {
            "read": kept + self._dropped.total(),
            "kept": kept,
            "kept_bytes": self._bytes.total(),
            "dropped": dict(sorted(self._dropped.items())),
            TRAIN: {"documents": self._documents[TRAIN], "bytes": self._bytes[TRAIN]},
            VALIDATION: {"documents": self._documents[VALIDATION], "bytes": self._bytes[VALIDATION]},
            "languages": dict(sorted(self._languages.items())),
        }
