"""Documents at rest: the Parquet schemas of curate/, and how to read and write them."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

TRAIN, VALIDATION = "train", "validation"

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
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
        ("sha256", pa.string()),
        ("raw_sha256", pa.string()),
        ("quality", pa.float32()),
        ("edits", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
    ]
)
"""Columns of documents/<source>.parquet, ordered by id; docs/reference/artefacts.md says what each holds."""

DROPPED = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("location", pa.string()),
        ("url", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("num_bytes", pa.int64()),
        ("raw_sha256", pa.string()),
        ("text", pa.string()),
    ]
)
"""Columns of dropped/<source>.parquet, ordered by id."""


REPEATED = ["source", "language", "licence", "acquired", "split", "reason"]
"""Columns of few values, stored once for each row group; of others a dictionary would be built and thrown away."""

SOUGHT = ["id"]
"""Columns whose least and greatest value a row group tells, so that a document is found without reading all."""


def identity(source: str, location: str) -> str:
    """A document's id, 16 hex digits: the same in every run that reads the same place of the same source."""
    return hashlib.sha256(f"{source}\0{location}".encode()).hexdigest()[:16]


def path_of(curated: Path, source: str) -> Path:
    """The kept documents of a source in a finished curate folder."""
    return curated / "documents" / f"{source}.parquet"


def batches(path: Path, columns: Sequence[str], batch_size: int = 1024) -> Iterator[Any]:
    """Record batches of these columns, in file order, a few documents in memory at a time."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=batch_size, columns=list(columns))


def texts(path: Path, split: str) -> Iterator[str]:
    """Texts of one split (`train` or `validation`), ordered by document id."""
    for batch in batches(path, ("text", "split")):
        kept, text = batch.column("split").to_pylist(), batch.column("text")
        yield from (text[row].as_py() for row, name in enumerate(kept) if name == split)


class TableWriter:
    """A Parquet file written table by table, beside its place, and renamed when whole. Equal tables, equal bytes."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._path, self._aside = path, path.with_name(f".{path.name}.aside")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._writer = pq.ParquetWriter(
            self._aside, schema, compression="zstd", use_dictionary=REPEATED, write_statistics=SOUGHT
        )

    def write(self, table: Any) -> None:
        self._writer.write_table(table.select(self._schema.names).cast(self._schema), row_group_size=16_384)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if error is None:
            self._aside.replace(self._path)
