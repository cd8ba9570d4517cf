"""Files that are one document each: plain text, Markdown, source code."""

import codecs
import email.parser
import inspect
import re
import tokenize
from collections.abc import Iterator
from io import BytesIO

from orfevre.data.readers.record import Broken, Item, Record

_MARKS = (  # the longer marks first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(data: bytes) -> Iterator[Item]:
    yield _decoded(data, _marked_encoding(data))


def read_markdown(data: bytes, name: str) -> Iterator[Item]:
    """Markdown; of a package's METADATA or PKG-INFO only the description, without the headers."""
    item = _decoded(data, _marked_encoding(data))
    if isinstance(item, Record) and name in ("METADATA", "PKG-INFO"):
        item = Record(0, _description(item.text))
    yield item


def read_code(data: bytes, language: str) -> Iterator[Item]:
    """Source code; Python's may name its encoding in a comment (PEP 263)."""
    encoding = _marked_encoding(data)
    if language == "python" and encoding == "utf-8":
        try:
            encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
        except SyntaxError as error:
            yield Broken(0, "undecodable", f"encoding comment: {error}", len(data))
            return
    yield _decoded(data, encoding)


def _marked_encoding(data: bytes) -> str:
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")


def _decoded(data: bytes, encoding: str) -> Item:
    try:
        return Record(0, data.decode(encoding))
    except (UnicodeError, LookupError) as error:
        return Broken(0, "undecodable", f"not {encoding}: {error}", len(data))


def _description(metadata: str) -> str:
    """The body below the RFC 822 headers, or else the Description header of older metadata."""
    message = email.parser.Parser().parsestr(metadata)
    body = message.get_payload()
    if isinstance(body, str) and body.strip():
        return body
    header = str(message.get("Description", ""))
    return inspect.cleandoc(re.sub(r"^ *\|", "", header, flags=re.MULTILINE))
