"""Web pages: the main text, and what the page and its HTTP headers say of it."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orfevre.data.readers.extract import main_text
from orfevre.data.readers.limits import TooSlowError, time_limit
from orfevre.data.readers.record import NOTHING_SAID, Broken, Facts, Item, Record
from orfevre.data.readers.web_encoding import decode
from orfevre.data.readers.web_facts import facts_of
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

MAX_DEPTH = 10_000
"""Elements within one another. The extractor's time grows with the square of this, in C, where no alarm is heard: 2
seconds at 10,000, 21 at 30,000. Real pages have 13, and up to 1,500 with tags that are never closed."""

_NESTING = re.compile(
    r"<(/?)(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|td|tr|option)\b)[a-z]",
    re.IGNORECASE,
)
"""Tags of elements that are never closed, or that the next of their kind closes, do not count."""


def read_html(data: bytes, curate: Curate) -> Iterator[Item]:
    facts = Facts(media_type="text/html", raw_sha256=hashlib.sha256(data).hexdigest())
    yield page(0, data, Told(facts=facts), curate)


def page(number: int, data: bytes, told: Told, curate: Curate) -> Item:
    """The record of one HTML page, or why there is none. `data` is at most curate.reading.max_record_bytes long."""
    from resiliparse.parse.html import HTMLTree

    try:
        source = decode(data, told.charset)
        if source.count("<") > MAX_DEPTH and _depth(source) > MAX_DEPTH:
            return Broken(number, "broken_record", f"elements nested more than {MAX_DEPTH} deep", len(data))
        with time_limit(curate.reading.max_seconds):
            facts = facts_of(source, told.headers, told.facts)
        text = main_text(HTMLTree.parse(source), source, curate) if source.strip() else ""
        return Record(number, text, facts)
    except TooSlowError:
        cause = f"page not read after {curate.reading.max_seconds} seconds (curate.reading.max_seconds)"
        return Broken(number, "timeout", cause, len(data))
    except ImportError:  # a library that is missing is no fault of the page
        raise
    except Exception as error:  # whatever the parser makes of bytes from the web must not end the run
        return Broken(number, "broken_record", f"not readable as HTML: {type(error).__name__}: {error}", len(data))


def _depth(source: str) -> int:
    """About how deep elements are nested."""
    depth = deepest = 0
    for closing in _NESTING.findall(source):
        depth = max(depth - 1, 0) if closing else depth + 1
        deepest = max(deepest, depth)
    return deepest
