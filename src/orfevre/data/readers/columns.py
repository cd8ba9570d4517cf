"""Texts out of a column of a Parquet file, row group by row group."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from orfevre.data.readers.record import Broken, Item, Record
from orfevre.errors import InputError


def read_parquet(file: BinaryIO, path: str, column: str) -> Iterator[Item]:
    """Records numbered by row. Raises InputError when the column is missing or holds no text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        yield Broken(0, "unreadable", f"not a Parquet file: {error}")
        return
    _require_text(table.schema_arrow, path, column)
    first = 1
    for group in range(table.num_row_groups):
        num_rows = table.metadata.row_group(group).num_rows
        done = 0
        try:
            for batch in table.iter_batches(batch_size=512, row_groups=[group], columns=[column]):
                for text in batch.column(0):
                    yield _record(first + done, text, column)
                    done += 1
        except (pa.ArrowException, OSError) as error:
            yield Broken(first + done, "unreadable", f"row group {group + 1}, from row {first + done}: {error}")
        first += num_rows


def _require_text(schema: Any, path: str, column: str) -> None:
    from pyarrow import types

    if column not in schema.names:
        raise InputError(f"{path}: no column {column!r}; set text_field to one of {', '.join(schema.names)}")
    kind = schema.field(column).type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if not (types.is_string(kind) or types.is_large_string(kind)):
        raise InputError(f"{path}: column {column!r} is {kind}, not a string; set text_field to a text column")


def _record(number: int, scalar: Any, column: str) -> Item:
    try:
        text = scalar.as_py()
    except UnicodeDecodeError as error:
        return Broken(number, "broken_record", f"row {number}: not UTF-8: {error.reason}")
    if text is None:
        return Broken(number, "broken_record", f"row {number}: column {column!r} is null")
    return Record(number, text)
