"""WARC, ARC and WET archives: whole records are read, damage is measured, told and stepped over."""

import gzip
import io
import random
from collections import Counter
from hashlib import sha256
from pathlib import Path

import fsspec
import pytest
import zstandard

from orfevre.data.readers.archive import Captured, Found
from orfevre.data.readers.reader import read as read_file
from orfevre.data.readers.record import Broken, Record
from orfevre.data.readers.warc import captures, read_warc
from orfevre.data.sources import SourceFile
from orfevre.recipe import Curate, Reading, Source

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
BODIES = [bytes(random.Random(seed).choices(b"abcdefgh <>", k=3000)) for seed in range(4)]


def warc(body: bytes, length: str = "", kind: str = "response", extra: str = "") -> bytes:
    block = HTTP + body
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://x.org/\r\nWARC-Date: 2024-01-02T03:04:05Z\r\n"
    head += f"Content-Type: application/http\r\nContent-Length: {length or len(block)}\r\n{extra}\r\n"
    return head.encode() + block + b"\r\n\r\n"


RECORDS = [warc(body) for body in BODIES]
MEMBERS = [gzip.compress(record, mtime=0) for record in RECORDS]
SIZES = [len(member) for member in MEMBERS]


def read(data: bytes, reading: Reading | None = None) -> tuple[list[Found], Counter[str]]:
    skipped: Counter[str] = Counter()
    return list(captures(io.BytesIO(data), reading or Reading(), skipped)), skipped


def whole(found: list[Found]) -> list[int]:
    """Which of BODIES came out whole."""
    return [BODIES.index(item.block[len(HTTP) :]) for item in found if isinstance(item, Captured)]


def broken(found: list[Found]) -> list[Broken]:
    return [item for item in found if isinstance(item, Broken)]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_whole_archives(pack: object) -> None:
    assert callable(pack)
    found, skipped = read(b"".join(pack(record) for record in [*RECORDS, warc(b"", kind="request")]))
    assert whole(found) == [0, 1, 2, 3] and not broken(found) and skipped == {"request": 1}
    first = found[0]
    assert isinstance(first, Captured) and (first.url, first.date) == ("http://x.org/", "2024-01-02T03:04:05Z")


def test_offsets_lead_to_the_record() -> None:
    for parts in (RECORDS, MEMBERS):
        found, _ = read(b"".join(parts))
        offsets = [item.offset for item in found if isinstance(item, Captured)]
        assert offsets == [sum(map(len, parts[:place])) for place in range(4)]


JUNK = b"garbage!!" * 10


@pytest.mark.parametrize(
    ("parts", "good", "lost"),
    [
        pytest.param([MEMBERS[0], JUNK, MEMBERS[1]], [0, 1], 90, id="junk between members"),
        pytest.param([MEMBERS[0], JUNK], [0], 90, id="junk at the end"),
        pytest.param([JUNK, MEMBERS[0]], [], 0, id="junk at the beginning"),
        pytest.param(
            [MEMBERS[0], flipped(MEMBERS[1], 900), *MEMBERS[2:]], [0, 2, 3], SIZES[1], id="a flipped bit in a member"
        ),
        pytest.param([flipped(MEMBERS[0], -6 % SIZES[0]), *MEMBERS[1:]], [1, 2, 3], SIZES[0], id="a wrong checksum"),
        pytest.param([MEMBERS[0], flipped(MEMBERS[1], 1), *MEMBERS[2:]], [0, 2, 3], SIZES[1], id="no member's mark"),
        pytest.param([MEMBERS[0][:-300], *MEMBERS[1:]], [1, 2, 3], SIZES[0] - 300, id="a member cut in the middle"),
        pytest.param([RECORDS[0], b"garbage\r\n\r\n", RECORDS[1]], [0, 1], 15, id="junk between plain records"),
        pytest.param([RECORDS[0], warc(BODIES[1], "4000"), *RECORDS[2:]], [0, 3], None, id="a length into the next"),
        pytest.param([RECORDS[0], warc(BODIES[1], "-5"), *RECORDS[2:]], [0, 2, 3], None, id="a negative length"),
        pytest.param([RECORDS[0], warc(BODIES[1], "9" * 25), *RECORDS[2:]], [0, 2, 3], None, id="a length of 80 bits"),
        pytest.param([RECORDS[0], b"\r\n\r\n", RECORDS[1]], [0, 1], 0, id="more line ends than need be"),
    ],
)  # fmt: skip
def test_damage_is_measured_and_stepped_over(parts: list[bytes], good: list[int], lost: int | None) -> None:
    found, _ = read(b"".join(parts))
    if parts[0] is JUNK:  # then nothing says that the file is compressed
        assert [item.reason for item in broken(found)] == ["unreadable"]
        return
    assert whole(found) == good or (good == [0, 3] and whole(found) in ([0, 2, 3], [0, 3]))
    told = broken(found)
    assert len(told) == (lost != 0)
    if lost:
        assert told[0].num_bytes == lost and "bytes" in told[0].detail


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("length", "cause"), [("3000000000", "cut off"), ("40000", "cut off")])
def test_a_record_that_says_more_than_there_is_breaks_the_end_only(pack: object, length: str, cause: str) -> None:
    assert callable(pack)
    found, _ = read(b"".join([pack(RECORDS[0]), pack(warc(BODIES[1], length))]))
    assert whole(found) == [0] and cause in broken(found)[0].detail


def test_a_short_length_in_a_member_is_told() -> None:
    found, _ = read(MEMBERS[0] + gzip.compress(warc(BODIES[1], "500")) + MEMBERS[2])
    assert [item.offset for item in found if isinstance(item, Captured)] == [0, SIZES[0], len(MEMBERS[0]) + len(
        gzip.compress(warc(BODIES[1], "500")))]  # fmt: skip
    assert ["holds more than its record" in item.detail for item in broken(found)] == [True]


@pytest.mark.parametrize("end", range(1, SIZES[1], 37))
def test_a_cut_member_at_the_end_is_told(end: int) -> None:
    found, _ = read(MEMBERS[0] + MEMBERS[1][:end])
    complete = whole(found) == [0, 1]  # only the checksum may be missing
    assert whole(found)[0] == 0 and ((complete and end > SIZES[1] - 9) or len(broken(found)) == 1)


@pytest.mark.parametrize("data", [b"", b"no archive at all\r\n\r\n", b"\x1f\x8b\x08broken", gzip.compress(b"x" * 99)])
def test_what_is_no_archive_is_unreadable(data: bytes) -> None:
    (item,) = read_warc(io.BytesIO(data), Curate(), Counter())
    assert isinstance(item, Broken) and item.reason == "unreadable"


def test_a_stream_that_cannot_go_back_is_read_to_its_damage() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, place: int, whence: int = 0) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    assert whole(list(captures(Pipe(b"".join(MEMBERS)), Reading(), Counter()))) == [0, 1, 2, 3]
    found = list(captures(Pipe(MEMBERS[0] + JUNK + MEMBERS[1]), Reading(), Counter()))
    assert whole(found) == [0] and "cannot go back" in broken(found)[0].detail


def test_damage_behind_a_url_is_stepped_over_too() -> None:
    fsspec.filesystem("memory").pipe("/damaged-archive/x.warc.gz", MEMBERS[0] + JUNK + MEMBERS[1])
    source = Source(name="s", paths=("x",), format="warc", licence="MIT", language="en")
    file = SourceFile("memory://damaged-archive/x.warc.gz", "x", 1, "0")
    skipped: Counter[str] = Counter()
    assert [type(item) for item in read_file(source, file, Curate(), skipped)] == [Record, Broken, Record]


def test_records_are_numbered_through_damage() -> None:
    items = list(read_warc(io.BytesIO(MEMBERS[0] + JUNK + MEMBERS[1]), Curate(), Counter()))
    assert [item.number for item in items] == [1, 2, 3]
    assert [type(item) for item in items] == [Record, Broken, Record]


def test_facts_of_a_page() -> None:
    (item,) = read_warc(io.BytesIO(RECORDS[0]), Curate(), Counter())
    assert isinstance(item, Record)
    facts = item.facts
    assert (facts.url, facts.acquired, facts.media_type) == ("http://x.org/", "2024-01-02T03:04:05Z", "text/html")
    assert facts.raw_sha256 == sha256(HTTP + BODIES[0]).hexdigest() and facts.offset == 0


def test_a_record_beyond_the_limit_is_not_held() -> None:
    curate = Curate(reading=Reading(max_record_bytes=2000))
    items = list(read_warc(io.BytesIO(RECORDS[0] + warc(b"short")), curate, Counter()))
    assert isinstance(items[0], Broken) and items[0].reason == "too_long" and items[0].num_bytes <= 2001
    assert isinstance(items[1], Record)


def test_a_compressed_body_beyond_the_limit_is_not_held() -> None:
    body = gzip.compress(b"<p>" + b"0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
    record = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n" % len(head + body) + head + body
    (item,) = read_warc(io.BytesIO(record), Curate(reading=Reading(max_record_bytes=100_000)), Counter())
    assert isinstance(item, Broken) and item.reason == "too_long"


def test_wet_records_are_texts() -> None:
    text = "Une page déjà lue.\n".encode()
    head = "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://x.org/é\r\nContent-Type: text/plain\r\n"
    head += "WARC-Identified-Content-Language: fra,eng\r\n"
    data = [f"{head}Content-Length: {len(part)}\r\n\r\n".encode() + part + b"\r\n\r\n" for part in (text, b"\xe9t\xe9")]
    first, second = read_warc(io.BytesIO(b"".join(data)), Curate(), Counter())
    assert isinstance(first, Record) and first.text.encode() == text
    assert (first.facts.url, first.facts.language) == ("http://x.org/é", "fra")
    assert isinstance(second, Broken) and second.reason == "undecodable"


_VERSION = b"1 0 Org\nURL IP-address Archive-date Content-type Archive-length\n"
FILEDESC = b"filedesc://x.arc 0.0.0.0 20080101000000 text/plain %d\n" % len(_VERSION) + _VERSION + b"\n"


def arc(body: bytes, length: str = "", url: str = "http://x.org/a b?c=d e") -> bytes:
    block = HTTP + body
    return f"{url} 127.0.0.1 20080203040506 text/html {length or len(block)}\n".encode() + block + b"\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_arc_archives(pack: object) -> None:
    assert callable(pack)
    found, skipped = read(b"".join(pack(part) for part in (FILEDESC, arc(BODIES[0]), arc(BODIES[1]))))
    assert whole(found) == [0, 1] and not broken(found) and skipped == {"filedesc": 1}
    first = found[0]
    assert isinstance(first, Captured) and (first.url, first.date) == ("http://x.org/a b?c=d e", "2008-02-03T04:05:06Z")
    assert first.offset == (len(FILEDESC) if pack is bytes else -1)


def test_damaged_arc_archives() -> None:
    found, _ = read(FILEDESC + arc(BODIES[0]) + b"no record\n" + arc(BODIES[1]) + arc(BODIES[2], "99999"))
    assert whole(found) == [0, 1]
    assert [(item.reason, item.num_bytes) for item in broken(found)] == [
        ("unreadable", 10),
        ("broken_record", len(HTTP) + 3001),
    ]
    cut = (gzip.compress(FILEDESC) + gzip.compress(arc(BODIES[0])) + gzip.compress(arc(BODIES[1])))[:-500]
    found, _ = read(cut)
    assert whole(found) == [0] and {item.reason for item in broken(found)} == {"unreadable", "broken_record"}


TRUTH: dict[str, tuple[int, dict[str, int], int]] = {
    # file: records that may hold a document, records skipped, damaged stretches
    "commoncrawl-whirlwind/whirlwind.warc.gz": (1, {"warcinfo": 1, "request": 1, "metadata": 1}, 0),
    "commoncrawl-whirlwind/whirlwind.warc.wat.gz": (0, {"warcinfo": 1, "metadata": 1}, 0),
    "commoncrawl-whirlwind/whirlwind.warc.wet.gz": (1, {"warcinfo": 1}, 0),
    "derived/crawl_apache_flink.warc.gz": (633, {"warcinfo": 1}, 0),
    "pywb/bad.arc": (1, {}, 2),  # lengths -1 and abc
    "pywb/dupes.warc.gz": (3, {"warcinfo": 1, "request": 12, "revisit": 9}, 0),
    "pywb/example-extra.warc": (2, {"request": 2, "revisit": 2}, 0),
    "pywb/example-url-agnostic-orig.warc.gz": (1, {"warcinfo": 1}, 0),
    "pywb/example-url-agnostic-revisit.warc.gz": (0, {"warcinfo": 1, "revisit": 1}, 0),
    "pywb/example-wget-1-14.warc.gz": (4, {"warcinfo": 1, "request": 1}, 0),
    "pywb/example-wpull.warc.gz": (2, {"warcinfo": 1, "request": 1}, 0),
    "pywb/example.arc": (1, {"filedesc": 1}, 0),
    "pywb/example.arc.gz": (1, {"filedesc": 1}, 0),
    "pywb/example.warc": (2, {"warcinfo": 1, "request": 2, "revisit": 1}, 1),  # a length 7 bytes short
    "pywb/example.warc.gz": (2, {"warcinfo": 1, "request": 2, "revisit": 1}, 0),
    "pywb/example2.warc.gz": (1, {"warcinfo": 1, "request": 1}, 0),
    "pywb/httpbin-resource.warc.gz": (1, {}, 0),
    "pywb/iana.warc.gz": (48, {"warcinfo": 1, "request": 171, "revisit": 123}, 0),
    "pywb/missing-status-text.warc": (0, {}, 1),  # its lines end in \r\r\n
    "pywb/post-test.warc.gz": (3, {"request": 3}, 0),
    "resiliparse/block-sized-records.warc.gz": (0, {"record of unknown type": 3}, 0),
    "resiliparse/clipped.warc.gz": (0, {}, 1),  # ends inside its only record
    "resiliparse/warcfile.warc.gz": (16, {"warcinfo": 1, "request": 17, "metadata": 16}, 0),
    "warcio/bad.arc": (1, {}, 2),
    "warcio/example-bad-non-chunked.warc.gz": (1, {"warcinfo": 2, "request": 2, "revisit": 1}, 0),
    "warcio/example-bad.warc.gz.bad": (2, {"warcinfo": 1, "request": 2, "revisit": 1}, 0),
    "warcio/example-digest.warc": (0, {"request": 4}, 0),
    "warcio/example-iana.org-chunked.warc": (1, {"warcinfo": 1, "request": 1}, 0),
    "warcio/example-resource.warc.gz": (1, {"warcinfo": 2}, 0),
    "warcio/example-space-in-target-uri.warc.gz": (1, {"warcinfo": 1}, 0),
    "warcio/example-space-in-url.arc": (0, {"filedesc": 1}, 1),  # 12 bytes short of its length
    "warcio/example-trunc.warc": (1, {"warcinfo": 2, "request": 1}, 1),  # a length 6 bytes short
    "warcio/example-wget-bad-target-uri.warc.gz": (3, {"warcinfo": 1, "request": 1, "metadata": 1}, 0),
    "warcio/example-wrong-chunks.warc.gz": (1, {"request": 1}, 0),
    "warcio/example.arc": (1, {"filedesc": 1}, 0),
    "warcio/example.arc.gz": (1, {"filedesc": 1}, 0),
    "warcio/example.warc": (1, {"warcinfo": 2, "request": 2, "revisit": 1}, 0),
    "warcio/example.warc.gz": (1, {"warcinfo": 2, "request": 2, "revisit": 1}, 0),
    "warcio/post-test.warc.gz": (3, {"request": 3}, 0),
}


def test_every_archive_of_the_development_data(data: Path) -> None:
    files = sorted(path for path in (data / "warc").rglob("*") if path.is_file())
    wrong = {}
    for path in files:
        skipped: Counter[str] = Counter()
        with path.open("rb") as file:
            found = list(captures(file, Reading(), skipped))
        name = path.relative_to(data / "warc").as_posix()
        seen = (len(found) - len(broken(found)), dict(skipped), len(broken(found)))
        if seen != TRUTH.get(name):
            wrong[name] = seen, [item.detail for item in broken(found)]
    assert not wrong and len(files) == len(TRUTH)


def test_every_page_of_the_development_data_is_read_or_told(data: Path) -> None:
    pages: Counter[str] = Counter()
    for path in sorted(path for path in (data / "warc").rglob("*") if path.is_file()):
        skipped: Counter[str] = Counter()
        with path.open("rb") as file:
            items = list(read_warc(file, Curate(), skipped))
        assert [item.number for item in items] == list(range(1, len(items) + 1)) or items[0].number == 0
        pages.update(item.reason if isinstance(item, Broken) else "read" for item in items)
    assert pages["read"] > 680 and 5 < pages.total() - pages["read"] < 20
