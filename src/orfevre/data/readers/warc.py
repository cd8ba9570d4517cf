"""Web archives: WARC and ARC files, whose pages go to `web.page`, and WET files, which hold text already."""

import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, cast

from orfevre.data.readers import arc, archive, compressed, http_body
from orfevre.data.readers.archive import Captured, Found
from orfevre.data.readers.record import Broken, Facts, Item, Record
from orfevre.data.readers.web import Told, page
from orfevre.recipe import Curate, Reading

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_TOP_TYPES = frozenset(["application", "audio", "font", "image", "message", "model", "multipart", "text", "video"])
_HEAD_BYTES = 64 * 2**10


def read_warc(file: BinaryIO, curate: Curate, skipped: Counter[str]) -> Iterator[Item]:
    """Pages and texts in order, numbered from 1; each broken record and damaged stretch of bytes has a number too.

    What holds no document (requests, images, metadata) is counted in `skipped`, by kind.
    """
    number = 0
    seen = False
    for found in captures(file, curate.reading, skipped):
        seen = True
        item = found if isinstance(found, Broken) else _item(found, curate, skipped)
        if item is not None:
            number += 1
            yield replace(item, number=number)
    if not (seen or skipped):
        yield Broken(0, "unreadable", "no record in this file: neither WARC nor ARC")


def captures(file: BinaryIO, reading: Reading, skipped: Counter[str]) -> Iterator[Found]:
    """The records of an archive, whichever kind it is."""
    opened = file if hasattr(file, "peek") else io.BufferedReader(file)  # type: ignore[type-var]
    raw: bytes = opened.peek(_HEAD_BYTES)
    if not opened.seekable():
        opened = cast(BinaryIO, _Forward(opened))
    is_packed = raw.startswith(archive.GZIP)
    head = _unpacked(raw) if is_packed else raw
    if head.startswith(arc.MARK):
        name = "x.gz" if is_packed else "x"
        return arc.records(
            compressed.chunks(opened, name, reading.max_ratio), is_packed, reading.max_record_bytes, skipped
        )
    return archive.records(opened, head, reading.max_record_bytes, skipped)


class _Forward:
    """A stream that cannot go back, with the place that FastWARC asks for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._place = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._place += len(data)
        return data

    def tell(self) -> int:
        return self._place

    def seekable(self) -> bool:
        return False


def _unpacked(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, _HEAD_BYTES)
    except zlib.error:
        return b""


def _item(found: Captured, curate: Curate, skipped: Counter[str]) -> Item | None:
    """The document of a record; None when it holds none."""
    facts = Facts(
        url=found.url,
        acquired=found.date,
        language=found.languages.partition(",")[0],
        raw_sha256=hashlib.sha256(found.block).hexdigest(),
        offset=found.offset,
    )
    if found.kind == "conversion":
        return _text(found, facts, curate.reading.max_record_bytes)
    if found.kind == "resource" or not _is_http(found):
        facts = replace(facts, media_type=found.media_type.partition(";")[0].strip())
        return _page(found, Told(None, (), facts), found.block, curate, skipped)
    try:
        told, data = _http(found, facts, curate.reading.max_record_bytes)
    except Exception as error:  # HTTP that cannot be parsed or decoded; the next response may be whole
        return _broken(found, f"{type(error).__name__}: {error}")
    return _page(found, told, data, curate, skipped)


def _is_http(found: Captured) -> bool:
    """ARC says the type of the page; its block is HTTP where it begins like HTTP."""
    if found.kind == "arc":
        return found.block.startswith(b"HTTP/")
    return not found.media_type or found.media_type.startswith("application/http")


def _page(found: Captured, told: Told, data: bytes, curate: Curate, skipped: Counter[str]) -> Item | None:
    media_type, limit = told.facts.media_type, curate.reading.max_record_bytes
    if media_type not in _HTML_TYPES and (media_type or not _looks_like_html(data)):
        top = media_type.partition("/")[0]
        skipped[f"{found.kind} {top}" if top in _TOP_TYPES else f"{found.kind} of unknown type"] += 1
        return None
    if max(len(found.block), len(data)) > limit:
        return _broken(found, f"page of more than {limit} bytes", "too_long")
    return page(0, data, told, curate)


def _looks_like_html(data: bytes) -> bool:
    return data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _text(found: Captured, facts: Facts, limit: int) -> Item:
    """A conversion record: text that somebody has extracted already (WET)."""
    if len(found.block) > limit:
        return _broken(found, f"text of more than {limit} bytes", "too_long")
    try:
        return Record(0, found.block.decode(), replace(facts, media_type="text/plain"))
    except UnicodeDecodeError as error:
        return _broken(found, f"not UTF-8: {error.reason} at byte {error.start} of the text", "undecodable")


def _broken(found: Captured, cause: str, reason: str = "broken_record") -> Broken:
    where = "" if found.offset < 0 else f"record at byte {found.offset}: "
    return Broken(0, reason, f"{where}{found.url}: {cause}", len(found.block))


def _http(found: Captured, facts: Facts, limit: int) -> tuple[Told, bytes]:
    """What is told, and the body: decoded, at most limit + 1 bytes of it. Raises for what cannot be parsed."""
    from fastwarc.warc import WarcRecord, WarcRecordType

    record = WarcRecord()
    record.record_type = WarcRecordType.response
    record.is_http = True
    record.set_bytes_content(found.block)
    record.parse_http(auto_decode="none")
    headers = tuple((name.lower(), value) for name, value in record.http_headers)
    facts.media_type = (record.http_content_type or "").lower()  # nobody has seen these facts yet
    told = Told(record.http_charset, headers, facts)
    data = record.reader.read(len(found.block))
    return told, data if len(found.block) > limit else http_body.decoded(data, headers, limit)
