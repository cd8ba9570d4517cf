"""Opens a source file and reads it in its source's format."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from orfevre.data import sources
from orfevre.data.readers.columns import read_parquet
from orfevre.data.readers.docstrings import read_docstrings
from orfevre.data.readers.jsonl import read_jsonl
from orfevre.data.readers.record import Broken, Item
from orfevre.data.readers.warc import read_warc
from orfevre.data.readers.web import read_html
from orfevre.data.readers.whole import read_code, read_markdown, read_text
from orfevre.recipe import Curate, Source


def read(source: Source, file: sources.SourceFile, curate: Curate) -> Iterator[Item]:
    """The records of a file and what is broken in it, streamed."""
    try:
        if source.format in ("jsonl", "parquet", "warc"):
            yield from _stream(source, file, curate)
        else:
            yield from _whole(source, file, curate)
    except OSError as error:
        yield Broken(0, "unreadable", f"{type(error).__name__}: {error}", file.num_bytes)


def _stream(source: Source, file: sources.SourceFile, curate: Curate) -> Iterator[Item]:
    with sources.open_file(file.path) as opened:
        if source.format == "jsonl":
            yield from read_jsonl(opened, file.path, source.text_field)
        elif source.format == "parquet":
            yield from read_parquet(opened, file.path, source.text_field)
        else:
            yield from read_warc(opened, curate)


def _whole(source: Source, file: sources.SourceFile, curate: Curate) -> Iterator[Item]:
    limit = curate.reading.max_record_bytes
    with sources.open_file(file.path) as opened:
        data = opened.read(limit + 1)
    if len(data) > limit:
        yield Broken(0, "too_long", f"file of more than {limit} bytes", file.num_bytes)
    elif source.format == "html":
        yield from read_html(data, curate)
    elif source.format == "docstrings":
        yield from read_docstrings(data)
    elif source.format == "code":
        yield from read_code(data, source.language)
    elif source.format == "markdown":
        yield from read_markdown(data, PurePosixPath(file.path).name)
    else:
        yield from read_text(data)
