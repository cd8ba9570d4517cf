"""Opens a source file and reads it in its source's format."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

from orfevre.data import huggingface, sources
from orfevre.data.readers import compressed
from orfevre.data.readers.columns import read_arrow, read_parquet
from orfevre.data.readers.docstrings import read_docstrings
from orfevre.data.readers.jsonl import read_jsonl
from orfevre.data.readers.pdf import read_pdf
from orfevre.data.readers.record import Broken, Item, Record
from orfevre.data.readers.warc import read_warc
from orfevre.data.readers.web import read_html
from orfevre.data.readers.whole import read_code, read_markdown, read_text
from orfevre.recipe import Curate, Source

STREAMED = ("jsonl", "parquet", "huggingface", "warc")
"""Formats with many records a file; a file of any other is one document, or a module full of docstrings."""


def read(
    source: Source, file: sources.SourceFile, curate: Curate, skipped: Counter[str] | None = None
) -> Iterator[Item]:
    """The records of a file and what is broken in it, streamed.

    What an archive holds beside documents (requests, images, metadata) is counted in `skipped`, by kind.
    """
    tally = Counter[str]() if skipped is None else skipped
    try:
        if source.format in STREAMED:
            with sources.open_file(file.path) as opened:
                yield from _stream(source, file.path, opened, curate, tally)
        else:
            yield from _whole(source, file, curate)
    except OSError as error:
        yield Broken(0, "unreadable", f"{type(error).__name__}: {error}", file.num_bytes)


def _stream(source: Source, path: str, opened: BinaryIO, curate: Curate, skipped: Counter[str]) -> Iterator[Item]:
    if source.format == "jsonl":
        return read_jsonl(opened, path, source, curate.reading)
    if source.format == "parquet":
        return read_parquet(opened, path, source, curate.reading)
    if source.format == "huggingface":
        return _dataset(source, path, opened, curate)
    return read_warc(opened, curate, skipped)


def _dataset(source: Source, path: str, opened: BinaryIO, curate: Curate) -> Iterator[Item]:
    """A file of a Hugging Face dataset, by its suffix; the card says what the records leave open."""
    kind = huggingface.suffix(path)
    reader = {".arrow": read_arrow, ".parquet": read_parquet}.get(kind, read_jsonl)
    card = huggingface.card_of(path, sources.read_small)
    for item in reader(opened, path, source, curate.reading):
        if isinstance(item, Record):
            licence, language = item.facts.licence or card.licence, item.facts.language or card.language
            yield replace(item, facts=replace(item.facts, licence=licence, language=language))
        else:
            yield item


def _whole(source: Source, file: sources.SourceFile, curate: Curate) -> Iterator[Item]:
    limit = curate.reading.max_record_bytes
    try:
        with sources.open_file(file.path) as opened:
            data = _at_most(compressed.chunks(opened, file.path, curate.reading.max_ratio), limit + 1)
    except compressed.DamagedStreamError as error:
        return iter([Broken(0, "unreadable", str(error), file.num_bytes)])
    if len(data) > limit:
        return iter([Broken(0, "too_long", f"file of more than {limit} bytes", file.num_bytes)])
    return _document(source, PurePosixPath(file.path).name, data, curate)


def _document(source: Source, name: str, data: bytes, curate: Curate) -> Iterator[Item]:
    readers: dict[str, Callable[[], Iterator[Item]]] = {
        "html": lambda: read_html(data, curate),
        "pdf": lambda: read_pdf(data, curate.reading),
        "docstrings": lambda: read_docstrings(data),
        "code": lambda: read_code(data, source.language),
        "markdown": lambda: read_markdown(data, name),
        "text": lambda: read_text(data),
    }
    return readers[source.format]()


def _at_most(chunks: Iterator[bytes], limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while room and (chunk := next(chunks, b"")):
        parts.append(chunk[:room])
        room -= len(parts[-1])
    return b"".join(parts)
