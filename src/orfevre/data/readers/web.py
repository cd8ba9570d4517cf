"""Web pages: the main text, without navigation and boilerplate."""

from collections.abc import Iterator
from dataclasses import dataclass

from orfevre.data.readers.record import NOTHING_SAID, Broken, Facts, Item, Record
from orfevre.recipe import Curate


@dataclass(frozen=True, slots=True)
class Told:
    """What came with a page's bytes: from the archive's record and the HTTP headers."""

    charset: str | None = None
    """Of the Content-Type header."""

    headers: tuple[tuple[str, str], ...] = ()
    """HTTP headers in order, names in lower case; a name may repeat."""

    facts: Facts = NOTHING_SAID
    """What is known before the page is parsed: url, acquired, media_type, raw_sha256, offset."""


NOTHING_TOLD = Told()


def read_html(data: bytes, curate: Curate) -> Iterator[Item]:
    yield page(0, data, NOTHING_TOLD, curate)


def page(number: int, data: bytes, told: Told, curate: Curate) -> Item:
    """The record of one HTML page, or why there is none. `data` is at most curate.reading.max_record_bytes long."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    if not data:
        return Record(number, "", told.facts)
    try:
        charset = told.charset or detect_encoding(data, from_html_meta=True) or "utf-8"
        text = bytes_to_str(data, charset, errors="replace")
        return Record(number, extract_plain_text(text, main_content=True, alt_texts=False), told.facts)
    except Exception as error:  # whatever the parser makes of bytes from the web must not end the run
        return Broken(number, "broken_record", f"not readable as HTML: {type(error).__name__}: {error}", len(data))
