"""Web pages, alone or in WARC archives: the main text, without navigation and boilerplate."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from orfevre.data.readers.record import Broken, Item, Record

MAX_PAGE_BYTES = 64 * 2**20
"""A larger page is not parsed (reason `too_long`)."""

_HTML_TYPES = ("text/html", "application/xhtml+xml")


def read_html(data: bytes) -> Iterator[Item]:
    yield _page(0, data, None)


def read_warc(file: BinaryIO) -> Iterator[Item]:
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
            item = _response(number + 1, record)
            if item is not None:
                number += 1
                yield item
    except Exception as error:  # fastwarc raises what its C side finds: OSError, ValueError, StreamError
        yield Broken(0, "unreadable", f"broken after the record at byte {offset}: {type(error).__name__}: {error}")
        return
    if not seen:
        yield Broken(0, "unreadable", "no WARC record in this file (older ARC files are not read)")


def _response(number: int, record: Any) -> Item | None:
    """The page of a response; None when it is no HTML."""
    where = f"record at byte {record.stream_pos}"
    block = record.reader.read(MAX_PAGE_BYTES + 1)
    try:
        content_type, charset, data = _http(block)
    except Exception as error:  # HTTP that cannot be parsed or decoded; the next response may be whole
        return Broken(number, "broken_record", f"{where}: {type(error).__name__}: {error}", len(block))
    if content_type not in _HTML_TYPES:
        return None
    if len(block) > MAX_PAGE_BYTES:
        return Broken(number, "too_long", f"{where}: page of more than {MAX_PAGE_BYTES} bytes", len(block))
    return _page(number, data, charset) if data else Record(number, "")


def _http(block: bytes) -> tuple[str, str | None, bytes]:
    """Content type, charset and body. Some crawlers keep `Transfer-Encoding: chunked` on bodies already joined."""
    from fastwarc.warc import WarcRecord, WarcRecordType

    for decode in ("all", "content"):
        record = WarcRecord()
        record.record_type = WarcRecordType.response
        record.is_http = True
        record.set_bytes_content(block)
        try:
            record.parse_http(auto_decode=decode)
            return (record.http_content_type or "").lower(), record.http_charset, record.reader.read()
        except OSError:
            if decode == "content":
                raise
    raise AssertionError("unreachable")


def _page(number: int, data: bytes, charset: str | None) -> Item:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    if len(data) > MAX_PAGE_BYTES:
        return Broken(number, "too_long", f"page of more than {MAX_PAGE_BYTES} bytes", len(data))
    try:
        page = bytes_to_str(data, charset or detect_encoding(data, from_html_meta=True) or "utf-8", errors="replace")
        return Record(number, extract_plain_text(page, main_content=True, alt_texts=False))
    except Exception as error:  # whatever the parser makes of bytes from the web must not end the run
        return Broken(number, "broken_record", f"not readable as HTML: {type(error).__name__}: {error}", len(data))
