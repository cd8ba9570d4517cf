"""The records of a WARC file. A damaged stretch is measured, told and stepped over, so that what follows is still read.

FastWARC parses; this module checks what it says. A record counts as whole when its block is as long as its
Content-Length and, in a compressed file, when its gzip member unpacks to the end with the right checksum.
"""

import io
import re
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

from orfevre.data.readers.record import Broken

GZIP = b"\x1f\x8b\x08"
MAX_HEADER_BYTES = 2**20
"""Longer WARC headers are damage."""

_SCAN_BYTES = 2**20
_PROBE_BYTES = 4096
"""Compressed bytes looked at to tell whether a gzip member begins a record."""

_SLACK = 4
"""Bytes by which writers let a length run over: the two line ends after a block."""

_GZIP_START = re.compile(rb"(\x1f\x8b\x08)")
_PLAIN_START = re.compile(rb"(?:\A|\n)(WARC/\d\.\d\r?\n)")
_LENGTH = re.compile(rb"\nContent-Length: *(\d{1,18})\r", re.IGNORECASE)
_NAMES = {2: "warcinfo", 4: "response", 8: "resource", 16: "request", 32: "metadata", 64: "revisit", 128: "conversion"}
_WANTED = 4 | 8 | 128  # response, resource, conversion


@dataclass(slots=True)
class Captured:
    """A record that may hold a document."""

    kind: str
    """`response`, `resource` or `conversion`; `arc` for a record of an ARC file."""

    url: str
    date: str
    """WARC-Date, ISO 8601."""

    media_type: str
    """What the record says its block is: `application/http;msgtype=response`, `text/plain`."""

    languages: str
    """WARC-Identified-Content-Language: `fra,eng`; empty where the record says nothing."""

    block: bytes
    """At most max_bytes + 1 of the record's bytes."""

    offset: int
    """Byte where the record (or its gzip member) begins in the file."""


Found: TypeAlias = Captured | Broken


def records(file: BinaryIO, head: bytes, max_bytes: int, skipped: Counter[str]) -> Iterator[Found]:
    """Records that may hold a document, in order, and a Broken (number 0) for each damaged stretch.

    Records of other kinds are counted in `skipped`, by kind. `head` is how the unpacked file begins. `file` must be
    seekable for anything after the first damage to be read.
    """
    lenient = b"\n\n" in head.partition(b"\r\n\r\n")[0]  # line ends of headers without carriage return
    begin: int | None = 0
    while begin is not None:
        begin = yield from _run(file, begin, lenient, max_bytes, skipped)


def _run(
    file: BinaryIO, begin: int, lenient: bool, max_bytes: int, skipped: Counter[str]
) -> Generator[Found, None, int | None]:
    """Read on from a record's first byte. Returns where to go on after damage, None at the end of the file."""
    from fastwarc.warc import ArchiveIterator

    if begin:
        file.seek(begin)
    held: Found | None = None  # told only when the next record has begun: damage at its own end shows then
    last = None
    try:
        for record in ArchiveIterator(file, parse_http=False, quirks_mode=lenient, max_header_len=MAX_HEADER_BYTES):
            if held is not None:
                yield held
            last = record.stream_pos
            held = _captured(record, max_bytes, skipped)
    except BaseException as error:  # OSError, ValueError, a panic of Rust's: what the parser makes of damaged bytes
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        return (yield from _step_over(file, begin, last, held, f"{type(error).__name__}: {error}"))
    if held is not None:
        yield held
    if last is not None and file.seekable():
        yield from _after(file, last)
    return None


def _after(file: BinaryIO, last: int) -> Iterator[Broken]:
    """What follows the last member of a compressed file: a piece of one too short for the parser to notice."""
    if _at(file, last, len(GZIP)) == GZIP:
        end, _ = _member_end(file, last)
        stop = file.seek(0, io.SEEK_END)
        if end is not None and end < stop and _at(file, end, _SCAN_BYTES).strip(b"\0"):
            yield Broken(0, "unreadable", f"bytes {end} to {stop} hold no whole record: the file ends", stop - end)


def _captured(record: Any, max_bytes: int, skipped: Counter[str]) -> Found | None:
    kind, length = int(record.record_type), record.content_length
    said = {name.lower(): value for name, value in record.headers.to_tuples()}
    if "content-length" not in said:
        return Broken(0, "broken_record", f"record at byte {record.stream_pos}: no Content-Length")
    if not kind & _WANTED:
        skipped[_NAMES.get(kind, "record of unknown type")] += 1
        return None
    wanted = min(length, max_bytes + 1)  # read() takes memory for all that it is asked for
    block = record.reader.read(wanted)
    if len(block) < wanted:
        cause = f"record at byte {record.stream_pos}: cut off, {len(block)} bytes of {length}"
        return Broken(0, "broken_record", cause, len(block))
    return Captured(
        kind=_NAMES[kind],
        url=said.get("warc-target-uri", "").strip("<> "),
        date=said.get("warc-date", ""),
        media_type=said.get("content-type", "").lower(),
        languages=said.get("warc-identified-content-language", ""),
        block=block,
        offset=record.stream_pos,
    )


def _step_over(
    file: BinaryIO, begin: int, last: int | None, held: Found | None, cause: str
) -> Generator[Found, None, int | None]:
    """Tell the damage after the record at byte `last`. Returns where the next record begins, None if nowhere."""
    if not file.seekable():
        if held is not None:
            yield held
        yield Broken(0, "unreadable", f"after the record at byte {last}, in a stream that cannot go back: {cause}")
        return None
    start = begin if last is None else last
    compressed = _at(file, 0, len(GZIP)) == GZIP
    following = _next_start(file, start + 1, compressed)
    stop = file.seek(0, io.SEEK_END) if following is None else following
    end: int | None = start
    surplus = False
    if last is not None:
        end, surplus = (_member_end if compressed else _plain_end)(file, last)
    if end is None or end > stop + _SLACK:
        end, held = start, None  # the damage is in the last record itself, or its length reaches into the next one
    if held is not None:
        yield held
    if surplus:
        yield Broken(0, "broken_record", f"gzip member at byte {start} holds more than its record: {cause}")
    if stop > end and (compressed or not _is_blank(file, end, stop)):
        yield Broken(0, "unreadable", f"bytes {end} to {stop} hold no whole record: {cause}", stop - end)
    return following


def _next_start(file: BinaryIO, begin: int, compressed: bool) -> int | None:
    """The first byte from `begin` on where a record, or a gzip member that holds one, begins."""
    tail, base = b"", begin
    file.seek(begin)
    while data := file.read(_SCAN_BYTES):
        window = tail + data
        for place in _candidates(window, compressed):
            if not compressed or _begins_record(window[place : place + _PROBE_BYTES]):
                return base + place
        tail = window[-_PROBE_BYTES:]
        base += len(window) - len(tail)
    return None


def _candidates(window: bytes, compressed: bool) -> Iterator[int]:
    return (match.start(1) for match in (_GZIP_START if compressed else _PLAIN_START).finditer(window))


def _begins_record(member: bytes) -> bool:
    try:
        return zlib.decompressobj(wbits=31).decompress(member, 64).startswith(b"WARC/")
    except zlib.error:
        return False


def _member_end(file: BinaryIO, begin: int) -> tuple[int | None, bool]:
    """The byte after the gzip member at `begin`, None when it does not unpack to its end; whether it holds more than
    one record."""
    file.seek(begin)
    member, position, size, head = zlib.decompressobj(wbits=31), begin, 0, b""
    try:
        while not member.eof:
            data = member.unconsumed_tail
            if not data:
                data = file.read(64 * 2**10)
                position += len(data)
            if not data:
                return None, False
            unpacked = member.decompress(data, _SCAN_BYTES)
            head, size = head or unpacked, size + len(unpacked)
    except zlib.error:
        return None, False
    own = _block_end(head)
    return position - len(member.unused_data), own is None or size > own + _SLACK


def _plain_end(file: BinaryIO, begin: int) -> tuple[int | None, bool]:
    """The byte after the block of the record at `begin`, as its header says."""
    own = _block_end(_at(file, begin, MAX_HEADER_BYTES))
    return None if own is None else begin + own, False


def _block_end(record: bytes) -> int | None:
    """Length of a record's header and block, as the header says it."""
    head, mark, _ = record.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + mark)
    return len(head) + len(mark) + int(length[1]) if length and mark else None


def _is_blank(file: BinaryIO, begin: int, end: int) -> bool:
    return end - begin <= _PROBE_BYTES and not _at(file, begin, max(end - begin, 0)).strip()


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
