"""Readers under hostile bytes: no exception but UserError, every line and region accounted for, memory bounded."""

import gzip
import io
import json
import os
import random
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orfevre.data.readers.reader import read
from orfevre.data.readers.record import Broken, Item, Record
from orfevre.data.sources import SourceFile
from orfevre.errors import UserError
from orfevre.recipe import Curate, Reading, Source

CURATE = Curate(reading=Reading(max_record_bytes=100_000, max_seconds=5.0))
TEXT = "Là où l'été s'achève, déjà, une page de texte. " * 20
ROWS = [{"text": f"{number} {TEXT}", "url": f"http://x.org/{number}"} for number in range(12)]


def _page(number: int) -> bytes:
    body = f"<html><title>t{number}</title><body><nav>menu</nav><p>{TEXT * 3}</p></body></html>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body


def _warc() -> list[bytes]:
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2024-01-02T03:04:05Z\r\nContent-Length: %d\r\n\r\n"
    return [head % len(_page(number)) + _page(number) + b"\r\n\r\n" for number in range(4)]


def _arc() -> list[bytes]:
    head = b"http://x.org/ 127.0.0.1 20080203040506 text/html %d\n"
    pages = [head % len(_page(number)) + _page(number) + b"\n" for number in range(4)]
    return [b"filedesc://x.arc 0.0.0.0 20080101000000 text/plain 9\n1 0 Org\n\n\n", *pages]


def _jsonl() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file, row_group_size=5)
    return file.getvalue()


def _arrow() -> bytes:
    file = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return file.getvalue()


def pdf(*texts: str) -> bytes:
    """A PDF of one line a page, without compression, and with a right table of references."""
    kids = " ".join(f"{3 + 2 * index} 0 R" for index in range(len(texts)))
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(texts)}>>"]
    for index, text in enumerate(texts):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        font = "<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources{font}/Contents {4 + 2 * index} 0 R>>"
        )
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    data = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    begin = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return data + f"trailer<</Root 1 0 R/Size {len(objects) + 1}>>\nstartxref\n{begin}\n%%EOF".encode()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


SAMPLES: dict[str, tuple[str, Callable[[], bytes], int]] = {
    # name: format, bytes, records that a whole file gives
    "x.jsonl": ("jsonl", _jsonl, 12),
    "x.jsonl.gz": ("jsonl", lambda: gzip.compress(_jsonl(), mtime=0), 12),
    "x.jsonl.zst": ("jsonl", lambda: _zstd(_jsonl()), 12),
    "x.parquet": ("parquet", _parquet, 12),
    "x.arrow": ("huggingface", _arrow, 12),
    "x.warc": ("warc", lambda: b"".join(_warc()), 4),
    "x.warc.gz": ("warc", lambda: b"".join(gzip.compress(part, mtime=0) for part in _warc()), 4),
    "x.arc": ("warc", lambda: b"".join(_arc()), 4),
    "x.arc.gz": ("warc", lambda: b"".join(gzip.compress(part, mtime=0) for part in _arc()), 4),
    "x.html": ("html", lambda: _page(0).partition(b"\r\n\r\n")[2], 1),
    "x.txt": ("text", TEXT.encode, 1),
    "x.txt.gz": ("text", lambda: gzip.compress(TEXT.encode(), mtime=0), 1),
    "x.md": ("markdown", f"# Titre\n\n{TEXT}\n".encode, 1),
    "x.py": ("code", lambda: b"# -*- coding: utf-8 -*-\n" + f"name = '''{TEXT}'''\n".encode(), 1),
    "y.py": ("docstrings", f"'''{TEXT}'''\ndef one():\n    '''{TEXT}'''\n".encode, 2),
    "x.pdf": ("pdf", lambda: pdf("First page of a text.", "Second page."), 1),
}


def items_of(name: str, data: bytes, folder: Path, curate: Curate = CURATE) -> list[Item]:
    source = Source(name="s", paths=("x",), format=SAMPLES[name][0], licence="MIT", language="python")  # type: ignore[arg-type]
    path = folder / name
    path.write_bytes(data)
    items: list[Item] = []
    try:
        items.extend(read(source, SourceFile(str(path), name, len(data), "0"), curate))
    except UserError:
        assert source.format in ("parquet", "huggingface")  # another column, said with the remedy
        return [Broken(0, "refused", "")]
    numbers = [item.number for item in items if item.number]
    assert numbers == sorted(set(numbers)), "numbers give locations, and must not repeat"
    assert sum(item.number == 0 for item in items) <= 1
    for item in items:
        if isinstance(item, Broken):
            assert item.reason in {"unreadable", "undecodable", "broken_record", "too_long", "no_text", "timeout"}
            assert item.detail and item.num_bytes >= 0
    return items


@pytest.fixture(params=list(SAMPLES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_samples_are_whole(name: str, tmp_path: Path) -> None:
    items = items_of(name, SAMPLES[name][1](), tmp_path)
    assert all(isinstance(item, Record) for item in items) and len(items) == SAMPLES[name][2]


def mutations(data: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    """Cut, flipped, spliced, stretched: each a small number of faults."""
    for _ in range(count):
        kind, one, two = rng.randrange(6), rng.randrange(len(data)), rng.randrange(len(data))
        low, high = min(one, two), max(one, two)
        if kind == 0:
            yield data[:one]
        elif kind == 1:
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            yield bytes(changed)
        elif kind == 2:
            yield data[:low] + data[high:]
        elif kind == 3:
            yield data[:one] + rng.randbytes(rng.randrange(1, 200)) + data[one:]
        elif kind == 4:
            yield data[:high] + data[low:]
        else:
            yield data[:low] + bytes(high - low) + data[high:]


def test_mutated_files(name: str, tmp_path: Path) -> None:
    data, whole = SAMPLES[name][1](), SAMPLES[name][2]
    texts = {item.text for item in items_of(name, data, tmp_path) if isinstance(item, Record)}
    kept = 0
    for changed in mutations(data, random.Random(name), 120):
        items = items_of(name, changed, tmp_path)
        kept += sum(isinstance(item, Record) and item.text in texts for item in items)
    assert kept > 0 or whole < 4  # of files with many records, some outlive a fault


def test_one_flipped_bit_costs_one_page(tmp_path: Path) -> None:
    data = SAMPLES["x.warc.gz"][1]()
    texts = {item.text for item in items_of("x.warc.gz", data, tmp_path) if isinstance(item, Record)}
    rng = random.Random(3)
    for _ in range(60):
        place = rng.randrange(len(data))
        changed = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
        items = items_of("x.warc.gz", changed, tmp_path)
        whole = sum(isinstance(item, Record) and item.text in texts for item in items)
        assert whole >= 3 and (whole == 4 or any(isinstance(item, Broken) for item in items))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes(name: str, tmp_path: Path, data: bytes) -> None:
    items_of(name, data, tmp_path)
    items_of(name, SAMPLES[name][1]()[: len(data)] + data, tmp_path)


def test_lines_are_conserved(tmp_path: Path) -> None:
    """A plain JSONL file has one item for each line, whatever is done to it."""
    for changed in mutations(_jsonl(), random.Random(5), 200):
        lines = changed.split(b"\n")
        assert len(items_of("x.jsonl", changed, tmp_path)) == len(lines) - (lines[-1] == b"")


def test_parquet_rows_are_conserved_when_pages_are_damaged(tmp_path: Path) -> None:
    """A fault in the pages of one row group leaves the rows of the others."""
    file = io.BytesIO()
    table = pa.table({"text": [f"{number} " + os.urandom(400).hex() for number in range(30)]})
    pq.write_table(table, file, row_group_size=10, use_dictionary=False, compression="zstd")
    data = bytearray(file.getvalue())
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    begin = group.data_page_offset
    data[begin + 40 : begin + group.total_compressed_size - 10] = bytes(group.total_compressed_size - 50)
    items = items_of("x.parquet", bytes(data), tmp_path)
    rows = [item.number for item in items if isinstance(item, Record)]
    assert rows == [*range(1, 11), *range(21, 31)]
    assert [(item.number, item.reason) for item in items if isinstance(item, Broken)] == [(11, "unreadable")]


def test_arrow_offsets_are_not_believed(tmp_path: Path) -> None:
    """Found by longer fuzzing: a damaged offset led Arrow out of its memory."""
    table = pa.table({"text": pa.array(["one", "two", "three"])})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    offsets = b"".join(place.to_bytes(4, "little") for place in (0, 3, 6, 11))
    assert file.getvalue().count(offsets) == 1
    for wrong in (2**30, 2**31 - 1, 2**32 - 5):
        hostile = offsets[:4] + wrong.to_bytes(4, "little") + offsets[8:]
        (item,) = items_of("x.arrow", file.getvalue().replace(offsets, hostile), tmp_path)
        assert isinstance(item, Broken) and item.reason == "unreadable"


def _bomb(kind: str) -> bytes:
    """A quarter of a gigabyte in a small file."""
    size, zeros = 2**28, bytes(2**20)
    if kind == "gz":
        packer = zlib.compressobj(9, wbits=31)
        return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()
    if kind == "zst":
        frame = zstandard.ZstdCompressor().compressobj()
        return b"".join(frame.compress(zeros) for _ in range(size >> 20)) + frame.flush()
    return gzip.compress(_bomb("gz"))


def _http_bomb() -> bytes:
    body = _bomb("gz")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + body
    return b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n" % len(block) + block + b"\r\n\r\n"


def _parquet_bomb(value: str, rows: int) -> bytes:
    file = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"text": column}), file, compression="zstd", store_schema=False)
    return file.getvalue()


_CHILD = """
import sys
from orfevre.data.readers.reader import read
from orfevre.data.sources import SourceFile
from orfevre.recipe import Curate, Source
source = Source(name="s", paths=("x",), format=sys.argv[1], licence="MIT", language="en")
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
list(read(source, SourceFile(sys.argv[3], "x", 1, "0"), Curate()))  # what the libraries take
before = peak()
items = [item.reason if hasattr(item, "reason") else len(item.text)
         for item in read(source, SourceFile(sys.argv[2], "x", 1, "0"), Curate())]
print(peak() - before, items[-1], len(items))
"""

BOMBS: list[tuple[str, str, Callable[[], bytes], str]] = [
    ("x.jsonl.gz", "jsonl", lambda: _bomb("gz"), "unreadable"),
    ("x.jsonl.zst", "jsonl", lambda: _bomb("zst"), "unreadable"),
    ("x.jsonl.gz", "jsonl", lambda: _bomb("nested"), "broken_record"),
    ("x.txt.gz", "text", lambda: _bomb("gz"), "unreadable"),
    ("x.warc.gz", "warc", lambda: _bomb("gz"), "unreadable"),
    ("x.warc", "warc", _http_bomb, "too_long"),
    ("x.parquet", "parquet", lambda: _parquet_bomb("0" * 4_000_000, 150), "4000000"),
]


@pytest.mark.parametrize(
    ("name", "kind", "bomb", "ends"), BOMBS, ids=[f"{place} {bomb[0]}" for place, bomb in enumerate(BOMBS)]
)
def test_bombs_do_not_fill_the_memory(
    name: str, kind: str, bomb: Callable[[], bytes], ends: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(bomb())
    harmless = tmp_path / f"harmless-{name}"
    harmless.write_bytes(SAMPLES[name][1]())
    command = [sys.executable, "-c", _CHILD, kind, str(tmp_path / name), str(harmless)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, last, _ = done.stdout.split()
    assert last == ends and int(grown) < 300


def test_zero_records_of_the_counter_stay_bounded(tmp_path: Path) -> None:
    """Hostile media types do not make the table of what was skipped grow."""
    from orfevre.data.readers.warc import read_warc

    def record(number: int) -> bytes:
        block = b"HTTP/1.1 200 OK\r\nContent-Type: x%d/y%d\r\n\r\nz" % (number, number)
        return b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n" % len(block) + block + b"\r\n\r\n"

    skipped: Counter[str] = Counter()
    assert not list(read_warc(io.BytesIO(b"".join(map(record, range(100)))), CURATE, skipped))
    assert skipped == {"response of unknown type": 100}
