"""What a page and its HTTP headers say of themselves: title, date, language, address, licence, and what is reserved.

One pass of a regular expression over the page's tags, comments and scripts stepped over: a parse would cost as much
again as the extraction of the text. Nothing is guessed: a fact that is not said in a place meant for it stays empty.
"""

import html
import json
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urljoin, urlsplit

from orfevre.data.readers import licences
from orfevre.data.readers.record import Facts

Headers = Sequence[tuple[str, str]]

_TAG = re.compile(
    r"<(?:(?P<comment>!--)|(?P<raw>script|style|textarea|template|noscript)\b(?P<head>[^<>]{0,4000})>"
    r"|(?P<title>title)\b[^<>]{0,400}>(?P<words>[^<]*)"
    r"|(?P<name>meta|link|html|time)\b(?P<rest>[^<>]{0,8000})>)",
    re.IGNORECASE,
)
"""Stops at the next `<`, so that tags that never end cost no more than others."""

_END = {
    name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "textarea", "template", "noscript")
}
_ANCHOR = re.compile(r"<a\b(?P<rest>[^<>]{0,4000})>", re.IGNORECASE)
_LICENCE = re.compile(r"licen[cs]e")
_ATTRIBUTE = re.compile(r"""([a-z][a-z0-9:_-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""", re.IGNORECASE)
_DATE = re.compile(
    r"\s*(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_PUBLISHED = (
    "article:published_time", "datepublished", "og:published_time", "dcterms.issued", "dc.date.issued", "dc.date",
    "dcterms.date", "dcterms.created", "citation_publication_date", "parsely-pub-date", "sailthru.date", "pubdate",
    "publishdate", "publish_date", "date",
)  # fmt: skip
"""Names of <meta> that hold a date of publication, the surest first."""

_LICENCE_METAS = frozenset(["license", "licence", "dc.rights.license", "dcterms.license", "dc.license", "cc:license"])
_ROBOTS = re.compile(r"robots|[a-z0-9_.-]*bot|google-extended|applebot-extended|[a-z-]*crawler|[a-z-]*spider")
_RESTRICTS = re.compile(r"\b(?:no(?:ai|imageai|ml|index|archive|cache|snippet)|none)\b", re.IGNORECASE)
"""Directives that may say something of use beyond search; `noodp` and the like do not."""

_TDM = ("tdm-reservation", "tdm-policy")
_MAX_JSON_CHARS = 2**18
_MAX_ANCHORS = 256
_MAX_TITLE_CHARS = 500
_MAX_SIGNALS, _MAX_SIGNAL_CHARS = 32, 300


@dataclass
class _Found:
    """What a page says, before it is weighed."""

    title: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    language: str = ""
    """Of the html element."""

    other_language: str = ""
    """Of Content-Language, header or meta."""

    canonical: str = ""
    licences: dict[str, str] = field(default_factory=dict)
    """By where it is said: `rel`, `json`, `meta`, `footer`."""

    dates: dict[str, str] = field(default_factory=dict)
    """By where it is said: `json`, `time`."""

    signals: list[str] = field(default_factory=list)


def facts_of(page: str, headers: Headers, told: Facts) -> Facts:
    """`told` with what the page and its headers say. Header names are in lower case."""
    found = _Found()
    _read_headers(headers, found)
    _read_page(page, found)
    canonical = _address(found.canonical, told.url)
    return replace(
        told,
        canonical_url=canonical,
        title=_title(found.title or found.metas.get("og:title", "")),
        date=_date(found),
        language=_language(found.language) or _language(found.other_language) or told.language,
        licence=next(
            (found.licences[where] for where in ("rel", "json", "meta", "footer") if where in found.licences), ""
        )
        or told.licence,
        signals=tuple(dict.fromkeys((*told.signals, *found.signals)))[:_MAX_SIGNALS],
    )


def signals_of_headers(headers: Headers) -> tuple[str, ...]:
    """The opt-out signals of HTTP headers alone, for what is no page."""
    found = _Found()
    _read_headers(headers, found)
    return tuple(dict.fromkeys(found.signals))[:_MAX_SIGNALS]


def _read_headers(headers: Headers, found: _Found) -> None:
    for name, value in headers:
        if name in _TDM or (name == "x-robots-tag" and _RESTRICTS.search(value)):
            _signal(found, name, value)
        elif name == "content-language":
            found.other_language = value.partition(",")[0]
        elif name == "link":
            for target, relations in re.findall(
                r'<([^>]{1,2000})>\s*;[^,]*?rel="?([a-z -]+)', value[:8000], re.IGNORECASE
            ):
                if "license" in relations.lower().split():
                    found.licences["rel"] = licences.normal(target)


def _read_page(page: str, found: _Found) -> None:
    hidden: list[tuple[int, int]] = []
    place = 0
    while match := _TAG.search(page, place):
        place = match.end()
        if match["comment"]:
            end = page.find("-->", place)
            place = len(page) if end < 0 else end
            hidden.append((match.start(), place))
        elif match["raw"]:
            closed = _END[match["raw"].lower()].search(page, place)
            end = closed.start() if closed else len(page)
            if match["raw"].lower() == "script" and "ld+json" in match["head"].lower():
                _read_json(page[place : min(end, place + _MAX_JSON_CHARS)], found)
            place = end
            hidden.append((match.start(), place))
        elif match["title"]:
            found.title = found.title or match["words"]
        else:
            _READ[match["name"].lower()](_attributes(match["rest"]), found)
    _read_anchors(page, hidden, found)


def _read_anchors(page: str, hidden: Sequence[tuple[int, int]], found: _Found) -> None:
    """Links that say they are the page's licence, and those to Creative Commons in the page's footer.

    Elsewhere such a link may be the licence of a picture.
    """
    footer = page.rfind("<footer")
    starts = [start for start, _ in hidden]
    for word in islice(_LICENCE.finditer(page), _MAX_ANCHORS):
        start = page.rfind("<", max(0, word.start() - 4000), word.start())
        match = _ANCHOR.match(page, start) if start >= 0 else None
        if match is None or match.end() <= word.start():
            continue
        before = bisect(starts, start) - 1
        if before < 0 or hidden[before][1] <= start:
            _read_anchor(_attributes(match["rest"]), 0 <= footer < start, found)


def _read_meta(own: dict[str, str], found: _Found) -> None:
    name = (
        (own.get("name") or own.get("property") or own.get("itemprop") or own.get("http-equiv") or "").lower().strip()
    )
    content = own.get("content", "").strip()
    if not name or not content:
        return
    found.metas.setdefault(name, content)
    if name in _TDM:
        _signal(found, name, content)
    elif _ROBOTS.fullmatch(name) and _RESTRICTS.search(content):
        _signal(found, "robots" if name == "robots" else f"robots {name}", content)
    elif name in ("noai", "noimageai"):
        _signal(found, "robots", name)
    elif name in _LICENCE_METAS:
        found.licences.setdefault("meta", licences.normal(content))
    elif name == "content-language":
        found.other_language = content.partition(",")[0]


def _read_link(own: dict[str, str], found: _Found) -> None:
    relations = own.get("rel", "").lower().split()
    if "canonical" in relations and not found.canonical:
        found.canonical = own.get("href", "")
    elif "license" in relations and own.get("href"):
        found.licences.setdefault("rel", licences.normal(own["href"]))


def _read_anchor(own: dict[str, str], in_footer: bool, found: _Found) -> None:
    link = own.get("href", "")
    if not link:
        return
    if "license" in own.get("rel", "").lower().split() or own.get("itemprop", "").lower() == "license":
        found.licences.setdefault("rel", licences.normal(link))
    elif in_footer and licences.is_creative_commons(link):
        found.licences.setdefault("footer", licences.normal(link))


def _read_root(own: dict[str, str], found: _Found) -> None:
    found.language = found.language or own.get("lang") or own.get("xml:lang") or ""


def _read_time(own: dict[str, str], found: _Found) -> None:
    if "pubdate" in own or own.get("itemprop", "").lower() == "datepublished":
        found.dates.setdefault("time", own.get("datetime", ""))


_READ = {"meta": _read_meta, "link": _read_link, "html": _read_root, "time": _read_time}


def _read_json(body: str, found: _Found) -> None:
    """JSON-LD: date of publication and licence of the first object that states them."""
    try:
        data = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        return
    for table in _tables(data):
        date, licence = table.get("datePublished"), table.get("license")
        if isinstance(date, str):
            found.dates.setdefault("json", date)
        if isinstance(licence, dict):
            licence = licence.get("@id") or licence.get("url") or licence.get("name")
        if isinstance(licence, str) and licence.strip():
            found.licences.setdefault("json", licences.normal(licence))


def _tables(data: Any) -> Iterator[dict[str, Any]]:
    """Objects that describe the page: at the top, in a list, and in @graph. Pictures and authors below are not it."""
    for item in data[:64] if isinstance(data, list) else [data]:
        if isinstance(item, dict):
            graph = item.get("@graph")
            for table in [item, *(graph[:64] if isinstance(graph, list) else [])]:
                if isinstance(table, dict) and not _is_media(table.get("@type")):
                    yield table


def _is_media(kind: Any) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    return any(isinstance(each, str) and each.endswith(("ImageObject", "VideoObject", "AudioObject")) for each in kinds)


def _attributes(tag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(tag):
        value = double or single or bare
        found.setdefault(name.lower(), html.unescape(value) if "&" in value else value)
    return found


def _signal(found: _Found, kind: str, value: str) -> None:
    found.signals.append(f"{kind}: {' '.join(value.split())[:_MAX_SIGNAL_CHARS]}")


def _title(written: str) -> str:
    return _spelled(" ".join(html.unescape(written).split())[:_MAX_TITLE_CHARS])


def _language(written: str) -> str:
    code = written.strip().replace("_", "-")
    return code if re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}", code) else ""


def _address(link: str, base: str) -> str:
    try:
        whole = urljoin(base, link.strip()) if link.strip() else ""
        parts = urlsplit(whole)
    except ValueError:
        return ""
    return _spelled(whole) if parts.scheme in ("http", "https") and parts.netloc else ""


def _spelled(text: str) -> str:
    """An entity may spell half a surrogate pair, which no UTF-8 holds."""
    return text.encode("utf-8", "replace").decode()


def _date(found: _Found) -> str:
    said = [*(found.metas.get(name, "") for name in _PUBLISHED[:2]), found.dates.get("json", "")]
    said += [found.dates.get("time", ""), *(found.metas.get(name, "") for name in _PUBLISHED[2:])]
    return next((date for date in map(_iso, said) if date), "")


def _iso(written: str) -> str:
    """`2024-03-01` or `2024-03-01T12:30:00+01:00`; empty for what is no ISO 8601 date of the web's years."""
    match = _DATE.match(written)
    if not match:
        return ""
    clock, zone = match["clock"] or "", match["zone"] or ""
    date = match["day"] + (f"T{clock}{zone}" if clock and clock != "00:00:00" else "")
    try:
        year = datetime.fromisoformat(date).year
    except ValueError:
        return ""
    return date if 1900 <= year <= 2100 else ""
