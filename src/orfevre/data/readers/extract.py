"""From a page to its main text: Resiliparse, a rule that weighs each line it leaves, and trafilatura where in doubt.

Resiliparse finds most of a page's text and much that stands around it. So the elements that hold comments, forms and
footers are skipped by name, and each line that is left is judged by what can be seen in it and beside it
(extract_blocks.py, extract_rule.py). A page of which little is left is doubtful: there trafilatura, which is slower by
far, reads the page again, and its answer stands if it has one.
"""

from typing import Any

from orfevre.data.readers.extract_blocks import Block, blocks, features, join
from orfevre.data.readers.extract_rule import weights
from orfevre.data.readers.limits import time_limit
from orfevre.recipe import Curate

_TAGS = ("form", "footer", "nav", "fieldset", "button", "aside", "dialog", "figcaption", "noscript")
_NAMES = (
    "comment", "respond", "disqus", "reply", "footer", "author", "byline", "taxonomy", "rating", "cookie", "paginat",
    "newsletter", "subscri", "recommend", "consent", "embed",
)  # fmt: skip
"""Parts of class names and ids that mark what stands around a text. Each raised precision on the pages that the rule
was fitted on without losing recall."""

_WHOLE = ":not(html):not(body):not(main):not(article)"
SKIPPED = [*_TAGS, *(f'[{attribute}*="{name}" i]{_WHOLE}' for name in _NAMES for attribute in ("class", "id"))]
"""CSS selectors of elements that are left out. An element that holds the whole page is never one of them."""


def main_text(page: Any, source: str, curate: Curate) -> str:
    """The main text of a page, parsed (`page`, a resiliparse HTMLTree) and as it stood (`source`).

    Raises TooSlowError after curate.reading.max_seconds, unless it was trafilatura that took too long: then the first
    answer stands.
    """
    rules = curate.extraction
    if rules.method == "trafilatura":
        with time_limit(curate.reading.max_seconds):
            return second_text(source)
    with time_limit(curate.reading.max_seconds):
        text = plain_text(page) if rules.method == "resiliparse" else first_text(page)
    if rules.method == "resiliparse" or len(text) >= rules.min_chars:
        return text
    try:
        with time_limit(curate.reading.max_seconds):
            return second_text(source) or text
    except ImportError:
        raise
    except Exception:  # too slow, or stumbled over the page: the first answer is as good as it was
        return text


def plain_text(page: Any) -> str:
    """Resiliparse's own answer."""
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(page, main_content=True, alt_texts=False))


def first_text(page: Any) -> str:
    """The lines of Resiliparse's answer that the rule keeps."""
    return join(kept(lines(page)))


def lines(page: Any) -> list[Block]:
    """What Resiliparse takes for main content, elements of telling names left out."""
    from resiliparse.extract.html2text import extract_plain_text

    marked = extract_plain_text(
        page, main_content=True, alt_texts=False, preserve_formatting="minimal_html", links=True, skip_elements=SKIPPED
    )
    return blocks(marked)


def kept(found: list[Block]) -> list[Block]:
    if not found:
        return []
    scores = features(found) @ weights()
    return [block for block, score in zip(found, scores.tolist(), strict=True) if score > 0.0]


def second_text(source: str) -> str:
    """Trafilatura's answer; empty when it has none."""
    import logging

    from trafilatura import extract

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it reports every page that it finds empty
    return extract(source, include_comments=False, fast=True) or ""
