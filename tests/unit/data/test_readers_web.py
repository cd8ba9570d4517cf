"""Pages, archives and Parquet columns: whole ones are read, broken ones are counted."""

import gzip
import io
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orfevre.data.readers.columns import read_parquet
from orfevre.data.readers.record import Broken, Item, Record
from orfevre.data.readers.warc import read_warc
from orfevre.data.readers.web import read_html
from orfevre.errors import InputError
from orfevre.recipe import Curate, Reading, Source

CURATE = Curate()


def of(column: str) -> Source:
    return Source(name="s", paths=("x",), format="parquet", licence="MIT", language="en", text_field=column)


PARAGRAPH = "Une page assez longue pour que son texte principal soit reconnu comme tel, avec des accents é è œ. " * 5
PAGE = f"<html><head><title>t</title></head><body><nav>menu</nav><article><p>{PARAGRAPH}</p></article></body></html>"


def warc(*bodies: bytes, kind: str = "text/html; charset=utf-8", extra: str = "") -> list[bytes]:
    records = []
    for body in bodies:
        block = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{extra}\r\n".encode() + body
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n"
        )
        records.append(head.encode() + block + b"\r\n\r\n")
    return records


def read(data: bytes) -> list[Item]:
    return list(read_warc(io.BytesIO(data), CURATE, Counter()))


def test_html_keeps_the_main_text() -> None:
    (item,) = read_html(PAGE.encode(), CURATE)
    assert isinstance(item, Record) and PARAGRAPH.strip() in item.text and "menu" not in item.text


def test_html_of_a_legacy_encoding() -> None:
    head = '<head><meta charset="iso-8859-1">'
    (item,) = read_html(PAGE.replace("œ", "ç").replace("<head>", head).encode("latin-1"), CURATE)
    assert isinstance(item, Record) and "accents é è ç" in item.text


def test_warc_counts_pages_and_leaves_other_types() -> None:
    data = b"".join(warc(PAGE.encode(), PAGE.encode()) + warc(b"\x89PNG", kind="image/png") + warc(PAGE.encode()))
    items = read(data)
    assert [item.number for item in items] == [1, 2, 3] and all(isinstance(item, Record) for item in items)


@pytest.mark.parametrize("extra", ["Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n"])
def test_warc_bodies_may_be_chunked_or_compressed_or_only_say_so(extra: str) -> None:
    body = PAGE.encode()
    packed = gzip.compress(body) if "gzip" in extra else f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    for data in (packed, body):
        (item,) = read(b"".join(warc(data, extra=extra)))
        if isinstance(item, Record):
            assert PARAGRAPH.strip() in item.text
        else:
            assert "gzip" in extra and data == body and item.reason == "broken_record"


@pytest.mark.parametrize("data", [b"", b"no archive at all\r\n\r\n", b"\x1f\x8b\x08broken"])
def test_what_is_no_warc_is_unreadable(data: bytes) -> None:
    (item,) = read(data)
    assert isinstance(item, Broken) and item.reason == "unreadable"


def test_a_broken_archive_keeps_what_came_before() -> None:
    first, second = warc(PAGE.encode(), PAGE.encode())
    page, broken = read(first + b"garbage where a record should begin\r\n\r\n" + second)[:2]
    assert isinstance(page, Record) and isinstance(broken, Broken) and "byte" in broken.detail


def test_every_archive_of_the_development_data(data: Path) -> None:
    files = sorted(path for path in (data / "warc").rglob("*") if path.is_file())
    pages = 0
    for path in files:
        with path.open("rb") as file:
            pages += sum(isinstance(item, Record) for item in read_warc(file, CURATE, Counter()))
    assert len(files) > 30 and pages > 650


def parquet(table: pa.Table, **options: int) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    file.seek(0)
    return file


def test_parquet_by_row_group_with_nulls() -> None:
    table = pa.table({"body": ["a", None, "c"], "n": [1, 2, 3]})
    first, broken, last = read_parquet(parquet(table, row_group_size=2), "x.parquet", of("body"), Reading())
    assert (first.number, first.text, last.number, last.text) == (1, "a", 3, "c")
    assert isinstance(broken, Broken) and broken.detail == "row 2: column 'body' is null"


def test_parquet_without_the_column_is_refused() -> None:
    table = pa.table({"body": ["a"], "n": [1]})
    with pytest.raises(InputError, match="no column 'text'; set text_field to one of body, n"):
        list(read_parquet(parquet(table), "x.parquet", of("text"), Reading()))
    with pytest.raises(InputError, match="not a string"):
        list(read_parquet(parquet(table), "x.parquet", of("n"), Reading()))


def test_parquet_that_is_damaged_is_counted() -> None:
    (item,) = read_parquet(io.BytesIO(b"PAR1 not really"), "x.parquet", of("text"), Reading())
    assert isinstance(item, Broken) and item.reason == "unreadable"
