"""Texts out of a column of a Parquet or Arrow file, batch by batch."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, BinaryIO, TypeAlias

from orfevre.data.readers.jsonl import facts_of, told_by
from orfevre.data.readers.record import Broken, Facts, Item, Record
from orfevre.errors import InputError, UserError
from orfevre.recipe import Reading, Source

BATCH_BYTES = 4 * 2**20
"""Text in memory at once, by the mean length of a row; a longer row comes alone."""

MAX_BATCH_ROWS = 1024
DICTIONARY_ROWS = 16
"""Rows at once of a column that may repeat one long value at little cost."""


Names: TypeAlias = tuple[str, Mapping[str, str]]
"""The column of the text, and those that tell facts."""


def read_parquet(file: BinaryIO, path: str, source: Source, reading: Reading) -> Iterator[Item]:
    """Records numbered by row. Raises InputError when a column of the recipe is missing or holds no text."""
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        columns = _columns(table.schema_arrow, path, source)
    except UserError:  # a ValueError too
        raise
    except _damage() as error:
        yield Broken(0, "unreadable", f"not a Parquet file: {_said(error)}")
        return
    names = (source.text_field, told_by(source))
    first = 1
    for group in range(table.num_row_groups):
        row = first
        try:
            rows = _rows_at_once(table.metadata.row_group(group), source.text_field, reading)
            for batch in table.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
                for item in _items(batch, row, names, reading.max_record_bytes):
                    yield item
                    row += 1
        except _damage() as error:
            yield Broken(row, "unreadable", f"row group {group + 1}, from row {row}: {_said(error)}")
            row += 1
        first = max(first + table.metadata.row_group(group).num_rows, row)


def read_arrow(file: BinaryIO, path: str, source: Source, reading: Reading) -> Iterator[Item]:
    """Records of an Arrow IPC file or stream (what `save_to_disk` writes), numbered by row."""
    import pyarrow as pa

    names = (source.text_field, told_by(source))
    row = 1
    try:
        table = pa.ipc.open_file(file) if file.read(6) == b"ARROW1" else pa.ipc.open_stream(_rewound(file))
        _columns(table.schema, path, source)
        count = getattr(table, "num_record_batches", None)
        batches = iter(table) if count is None else map(table.get_batch, range(count))
        for batch in batches:
            for column in {names[0], *names[1].values()}:
                _validate(batch.column(column))
            for item in _items(batch, row, names, reading.max_record_bytes):
                yield item
                row += 1
    except UserError:  # a ValueError too
        raise
    except _damage() as error:
        yield Broken(row, "unreadable", f"not an Arrow file from row {row} on: {_said(error)}")


def _damage() -> tuple[type[Exception], ...]:
    """What Arrow raises for damaged files; MemoryError when they claim more than there is."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, MemoryError)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _validate(column: Any) -> None:
    """Arrow believes offsets as they stand in the file, and would follow damaged ones out of its memory.

    Raises ArrowInvalid. Bytes that are not UTF-8 are left for `_values` to tell, text by text.
    """
    import pyarrow as pa

    as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    kind = as_bytes.get(column.type)
    (column if kind is None else column.view(kind)).validate(full=True)


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _columns(schema: Any, path: str, source: Source) -> list[str]:
    """The columns to read. Raises InputError for one that is missing, and for a text column of another type."""
    from pyarrow import types

    told = told_by(source)
    for where, name in [("text_field", source.text_field), *((f"fields.{fact}", name) for fact, name in told.items())]:
        if name not in schema.names:
            raise InputError(f"{path}: no column {name!r}; set {where} to one of {', '.join(schema.names)}")
    kind = schema.field(source.text_field).type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        raise InputError(
            f"{path}: column {source.text_field!r} is {kind}, not a string; set text_field to a text column"
        )
    return [*dict.fromkeys([source.text_field, *told.values()])]


def _rows_at_once(group: Any, column: str, reading: Reading) -> int:
    """How many rows a batch may have. Raises ValueError for a column that unpacks to more than its bytes allow."""
    chunks = [group.column(index) for index in range(group.num_columns)]
    (chunk,) = [chunk for chunk in chunks if chunk.path_in_schema == column]
    packed, unpacked = chunk.total_compressed_size, chunk.total_uncompressed_size
    if unpacked > 64 * 2**20 and unpacked > reading.max_ratio * packed:
        raise ValueError(
            f"{packed} compressed bytes give {unpacked}, over {reading.max_ratio:g} times as many "
            "(curate.reading.max_ratio)"
        )
    limit = DICTIONARY_ROWS if any("DICTIONARY" in name for name in chunk.encodings) else MAX_BATCH_ROWS
    rows = BATCH_BYTES * max(int(group.num_rows), 1) // max(int(unpacked), 1)
    return min(max(rows, 1), limit)


def _items(batch: Any, first: int, names: Names, max_bytes: int) -> Iterator[Item]:
    text_column, told = names
    columns = {name: batch.column(name).to_pylist() for name in set(told.values())}
    for row, text in enumerate(_values(batch.column(text_column)), start=first):
        if not isinstance(text, str):
            yield Broken(row, "broken_record", f"row {row}: {text or f'column {text_column!r} is null'}")
            continue
        raw = text.encode()
        if len(raw) > max_bytes:
            yield Broken(row, "too_long", f"row {row}: {len(raw)} bytes, more than {max_bytes}", len(raw))
            continue
        facts = Facts(raw_sha256=sha256(raw).hexdigest())
        if told:
            said = facts_of({name: column[row - first] for name, column in columns.items()}, told)
            facts = replace(facts, **said)
        yield Record(row, text, facts)


def _values(column: Any) -> Iterable[Any]:
    """Texts, None for nulls, and the error where bytes are not UTF-8; of a large batch one by one."""
    if column.nbytes > 4 * BATCH_BYTES:
        return map(_value, column)
    try:
        values: Iterable[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = map(_value, column)
    return values


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return ValueError(f"not UTF-8: {error.reason}")
