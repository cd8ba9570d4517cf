"""Web archives: the HTML responses of WARC files, each handed to `web.page`."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from orfevre.data.readers.record import Broken, Facts, Item
from orfevre.data.readers.web import Told, page
from orfevre.recipe import Curate

_HTML_TYPES = ("text/html", "application/xhtml+xml")


def read_warc(file: BinaryIO, curate: Curate) -> Iterator[Item]:
    """HTML responses in order; each broken one, and the point where an archive breaks off, is counted."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    number = 0
    offset = 0
    seen = False
    try:
        for record in ArchiveIterator(file, record_types=WarcRecordType.any_type, parse_http=False):
            seen, offset = True, record.stream_pos
            if record.record_type != WarcRecordType.response:
                continue
            item = _response(number + 1, record, curate)
            if item is not None:
                number += 1
                yield item
    except Exception as error:  # fastwarc raises what its C side finds: OSError, ValueError, StreamError
        yield Broken(0, "unreadable", f"broken after the record at byte {offset}: {type(error).__name__}: {error}")
        return
    if not seen:
        yield Broken(0, "unreadable", "no WARC record in this file (older ARC files are not read)")


def _response(number: int, record: Any, curate: Curate) -> Item | None:
    """The page of a response; None when it is no HTML."""
    where = f"record at byte {record.stream_pos}"
    limit = curate.reading.max_record_bytes
    block = record.reader.read(limit + 1)
    try:
        told, data = _http(record, block)
    except Exception as error:  # HTTP that cannot be parsed or decoded; the next response may be whole
        return Broken(number, "broken_record", f"{where}: {type(error).__name__}: {error}", len(block))
    if told.facts.media_type not in _HTML_TYPES:
        return None
    if max(len(block), len(data)) > limit:
        return Broken(number, "too_long", f"{where}: page of more than {limit} bytes", len(block))
    return page(number, data, told, curate)


def _http(outer: Any, block: bytes) -> tuple[Told, bytes]:
    """What is told and the body. Some crawlers keep `Transfer-Encoding: chunked` on bodies already joined."""
    from fastwarc.warc import WarcRecord, WarcRecordType

    for decode in ("all", "content"):
        record = WarcRecord()
        record.record_type = WarcRecordType.response
        record.is_http = True
        record.set_bytes_content(block)
        try:
            record.parse_http(auto_decode=decode)
            headers = tuple((name.lower(), value) for name, value in record.http_headers)
            facts = Facts(
                url=(outer.headers.get("WARC-Target-URI") or "").strip("<>"),
                acquired=outer.headers.get("WARC-Date") or "",
                media_type=(record.http_content_type or "").lower(),
                offset=outer.stream_pos,
            )
            return Told(record.http_charset, headers, facts), record.reader.read()
        except OSError:
            if decode == "content":
                raise
    raise AssertionError("unreachable")
