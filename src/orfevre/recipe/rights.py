"""Sections of [curate] on web pages and on what their owners allow: extraction, opt-outs."""

from typing import Literal

from pydantic import Field

from .base import Section


class Extraction(Section):
    method: Literal["cascade", "resiliparse", "trafilatura"] = "cascade"
    """How main text is found: `cascade` is Resiliparse, a rule for each line, and trafilatura for doubtful pages. The
    other two are those libraries alone."""

    min_chars: int = Field(default=400, ge=0)
    """Characters of main text below which a page is doubtful and read again by trafilatura; 0 never does."""


class OptOut(Section):
    """Documents whose owners have reserved them are dropped (reason `opt_out`). docs/concepts/rights.md says how each
    signal is read."""

    signals: bool = True
    """Read what pages and their HTTP headers say: robots directives, TDM reservations."""

    directives: tuple[str, ...] = ("noai", "noml")
    """Robots directives (meta, X-Robots-Tag) that reserve a page. `noindex`, `noarchive`, `nosnippet` speak of search
    engines; `noimageai` of pictures. Name them here to read them as reservations too."""

    user_agents: tuple[str, ...] = ("orfevre", "GPTBot", "CCBot", "Google-Extended")
    """Product tokens: what robots.txt, ai.txt or a directive forbids to any of these is not used. A file that names
    none of them speaks through its `*` group."""

    robots: tuple[str, ...] = ()
    """robots.txt files: paths or globs of files named after their host (`example.org.txt`), of JSON lines
    (`{"host": ..., "text": ...}`) or of WARC files with the robots.txt responses of a crawl."""

    robots_in_sources: bool = False
    """Take the robots.txt responses out of the WARC sources too; reads those files once more."""

    tdmrep: tuple[str, ...] = ()
    """tdmrep.json files: paths or globs, as `robots` (`example.org.json`, or JSON lines)."""

    ai_txt: tuple[str, ...] = ()
    """ai.txt files: paths or globs, as `robots`."""

    domains: tuple[str, ...] = ()
    """Lists of hosts that are not used, plain or .gz: `example.org` (and all hosts below it), `=example.org` (that host
    alone), `0.0.0.0 example.org` (a line of a hosts file: that host alone); `#` begins a comment."""

    urls: tuple[str, ...] = ()
    """Lists of URL prefixes that are not used, one a line, plain or .gz; http and https are the same."""

    licences_allow: tuple[str, ...] = ()
    """Patterns (`CC-BY-*`, case aside) of which one must match the document's licence, else it is dropped."""

    licences_deny: tuple[str, ...] = ()
    """Patterns of licences that drop a document: `CC-*-NC-*`."""

    extra_rules: tuple[str, ...] = ()
    """Rules of your own, by their names in the Python entry point group `orfevre.optout`."""
