"""The text of PDF files, by PDFium. Scanned pages hold none; such files are counted as `no_text`."""

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

from orfevre.data.readers.limits import TooSlowError, time_limit
from orfevre.data.readers.record import Broken, Facts, Item, Record
from orfevre.errors import InputError
from orfevre.recipe import Reading

_HYPHEN = re.compile("[\x02\ufffe]\r?\n?")
"""What PDFium puts where a word is divided at the end of a line."""

_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")


def read_pdf(data: bytes, reading: Reading) -> Iterator[Item]:
    """One record for the file, pages set apart by a blank line. Raises InputError without the extra `pdf`."""
    try:
        import pypdfium2
    except ImportError as error:
        raise InputError("format = 'pdf' needs pypdfium2: install orfevre[pdf]") from error

    facts = Facts(media_type="application/pdf", raw_sha256=sha256(data).hexdigest())
    item: Item
    try:
        with time_limit(reading.max_seconds), pypdfium2.PdfDocument(data) as document:
            item = _item(document, facts, reading, len(data))
    except TooSlowError as error:
        item = Broken(0, "timeout", f"PDF {error} = {reading.max_seconds:g}", len(data))
    except Exception as error:  # PdfiumError, ValueError: what the library makes of damaged files and of passwords
        item = Broken(0, "broken_record", f"not readable as PDF: {type(error).__name__}: {error}", len(data))
    yield item


def _item(document: Any, facts: Facts, reading: Reading, num_bytes: int) -> Item:
    num_pages = len(document)
    if num_pages > reading.max_pages:
        return Broken(0, "too_long", f"PDF of {num_pages} pages, more than {reading.max_pages}", num_bytes)
    pages: list[str] = []
    room = reading.max_record_bytes
    for index in range(num_pages):
        pages.append(_page_text(document[index]))
        room -= len(pages[-1])
        if room < 0:
            cause = f"PDF of more than {reading.max_record_bytes} characters by page {index + 1}"
            return Broken(0, "too_long", cause, num_bytes)
    text = "\n\n".join(page for page in pages if page)
    if not text:
        return Broken(0, "no_text", f"PDF of {num_pages} pages without text: scanned?", num_bytes)
    said = document.get_metadata_dict()
    return Record(0, text, _with(facts, said.get("Title", ""), said.get("CreationDate", "")))


def _page_text(page: Any) -> str:
    opened = page.get_textpage()
    try:
        text = str(opened.get_text_bounded(errors="replace"))
    finally:
        opened.close()
        page.close()
    return _HYPHEN.sub("", text).replace("\r\n", "\n").strip()


def _with(facts: Facts, title: str, created: str) -> Facts:
    date = _DATE.match(created)
    return replace(facts, title=title.strip(), date="-".join(part for part in date.groups() if part) if date else "")
