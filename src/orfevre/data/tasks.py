"""Items of evaluation sets: what a `[[tasks]]` table of the recipe names, read from its files.

An evaluation set is small and must be whole, so what cannot be read is an error, never skipped.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orfevre.data import sources
from orfevre.data.sources import SourceFile
from orfevre.errors import InputError
from orfevre.recipe import Recipe, Task


@dataclass(frozen=True)
class Item:
    """One question, passage or problem."""

    location: str
    """File and number in it from 1: `{data}/eval/boolq.jsonl#17`."""

    text: str
    """The task's fields, a line each."""


def read(recipe: Recipe, task: Task) -> Iterator[Item]:
    """The items of a task, in the order of its files. Raises InputError naming the file, the item and the field."""
    for file in sources.resolve_task(recipe, task):
        seen: set[str] = set()
        number = 0
        for number, entry in enumerate(_entries(task, file), start=1):
            parts = {field: _texts(_pick(entry, field.split("."))) for field in task.fields}
            seen |= {field for field, found in parts.items() if found}
            text = "\n".join(part for found in parts.values() for part in found)
            if not text.strip():
                raise InputError(
                    f"tasks.{task.name}: {file.path}, item {number}: no text in {', '.join(task.fields)}; "
                    f"{_fields_of(entry)}"
                )
            yield Item(f"{file.location}#{number}", text)
        if number == 0:
            raise InputError(f"tasks.{task.name}: {file.path} holds no items; take it out of the recipe")
        if unseen := [field for field in task.fields if field not in seen]:
            raise InputError(f"tasks.{task.name}.fields: no item of {file.path} has {unseen[0]!r}; {_fields_of(entry)}")


def _fields_of(entry: Any) -> str:
    names = [str(name) for name in entry] if isinstance(entry, Mapping) else []
    return f"its fields are {', '.join(names[:40])}" if names else "it has no fields"


def _entries(task: Task, file: SourceFile) -> Iterator[Any]:
    readers = {"jsonl": _jsonl, "json": _json, "squad": _squad}
    try:
        if task.format == "parquet":
            yield from _parquet(file)
        elif task.format in readers:
            yield from readers[task.format](file)
        else:
            yield from _rows(file, task)
    except (OSError, EOFError, ValueError, RecursionError, csv.Error, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"tasks.{task.name}: {file.path} cannot be read as {task.format} ({error}); mend the file or tasks."
            f"{task.name}.format"
        ) from None


def _jsonl(file: SourceFile) -> Iterator[Any]:
    for number, line in enumerate(_text(file).split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _json(file: SourceFile) -> Iterator[Any]:
    table = json.loads(_text(file))
    if not isinstance(table, list):
        raise ValueError("not a list of objects")
    yield from table


def _squad(file: SourceFile) -> Iterator[dict[str, Any]]:
    table = json.loads(_text(file))
    try:
        for article in table["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = [answer["text"] for answer in question.get("answers", ())]
                    yield {
                        "context": paragraph["context"], "question": question["question"], "answers": answers,
                        "title": article.get("title", ""),
                    }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"not in SQuAD's form: {error}") from None


def _parquet(file: SourceFile) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with sources.open_file(file.path) as opened, pq.ParquetFile(opened) as table:
            for batch in table.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except pa.ArrowException as error:  # some are neither ValueError nor OSError
        raise ValueError(str(error)) from None


def _rows(file: SourceFile, task: Task) -> Iterator[dict[str, str]]:
    text = _text(file)
    rows: Iterable[list[str]]
    if task.format == "tsv":
        rows = (line.split("\t") for line in text.splitlines() if line)
    else:
        rows = (row for row in csv.reader(io.StringIO(text, newline="")) if row)
    names = None
    for row in rows:
        if names is None and task.header:
            names = row
            continue
        yield dict(zip(names or map(str, range(1, len(row) + 1)), row, strict=False))


def _text(file: SourceFile) -> str:
    """The whole file: a set of a million items takes a gigabyte, and people choose the sets they name."""
    with sources.open_file(file.path) as opened:
        if file.path.endswith(".gz"):
            data = gzip.decompress(opened.read())
        elif file.path.endswith(".zst"):
            import zstandard

            try:
                with zstandard.ZstdDecompressor().stream_reader(opened, read_across_frames=True) as stream:
                    data = stream.read()
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from None
        else:
            data = opened.read()
    return data.decode("utf-8-sig")


def _pick(value: Any, path: list[str]) -> Any:
    if not path:
        return value
    if isinstance(value, list | tuple):
        return [_pick(entry, path) for entry in value]
    if isinstance(value, Mapping):
        return _pick(value.get(path[0]), path[1:])
    return None


def _texts(value: Any) -> list[str]:
    """The leaves that are words or numbers, in order."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [str(value)]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for entry in inner for text in _texts(entry)]
