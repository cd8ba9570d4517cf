"""Files that are one document each: plain text, Markdown, source code."""

import email.parser
import inspect
import re
import tokenize
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO

from orfevre.data.readers import encoding
from orfevre.data.readers.record import Broken, Facts, Item, Record


def read_text(data: bytes) -> Iterator[Item]:
    yield _decoded(data, "text/plain")


def read_markdown(data: bytes, name: str) -> Iterator[Item]:
    """Markdown; of a package's METADATA or PKG-INFO only the description, without the headers."""
    item = _decoded(data, "text/markdown")
    if isinstance(item, Record) and name in ("METADATA", "PKG-INFO"):
        item = Record(0, _description(item.text), item.facts)
    yield item


def read_code(data: bytes, language: str) -> Iterator[Item]:
    """Source code; Python's may name its encoding in a comment (PEP 263)."""
    if language != "python" or encoding.marked(data) != "utf-8":
        yield _decoded(data, "text/plain")
        return
    try:
        declared, _ = tokenize.detect_encoding(BytesIO(data).readline)
        yield Record(0, data.decode(declared), _facts(data, "text/plain", declared))
    except (SyntaxError, UnicodeError, LookupError) as error:
        yield Broken(0, "undecodable", f"encoding comment: {error}", len(data))


def _decoded(data: bytes, media_type: str) -> Item:
    try:
        text, name = encoding.decode(data)
    except (UnicodeError, LookupError) as error:
        return Broken(0, "undecodable", f"neither UTF-8 nor plainly another encoding: {error}", len(data))
    return Record(0, text, _facts(data, media_type, name))


def _facts(data: bytes, media_type: str, charset: str) -> Facts:
    return Facts(media_type=f"{media_type}; charset={charset}", raw_sha256=sha256(data).hexdigest())


def _description(metadata: str) -> str:
    """The body below the RFC 822 headers, or else the Description header of older metadata."""
    message = email.parser.Parser().parsestr(metadata)
    body = message.get_payload()
    if isinstance(body, str) and body.strip():
        return body
    header = str(message.get("Description", ""))
    return inspect.cleandoc(re.sub(r"^ *\|", "", header, flags=re.MULTILINE))
