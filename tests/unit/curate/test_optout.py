"""Opt-outs: each rule drops what is reserved, says why, and leaves the rest alone."""

import gzip
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre import recipe as recipes
from orfevre.curate import optout
from orfevre.curate.draft import Draft
from orfevre.curate.optout_rules import Case
from orfevre.curate.optout_tables import HostList, Prefixes, key_of
from orfevre.curate.units import Unit
from orfevre.data.readers.record import Facts
from orfevre.errors import InputError, RecipeError


def build(folder: Path, **optouts: object) -> Unit:
    (folder / "a.txt").write_text("text", encoding="utf-8")
    source = {"name": "a", "paths": [str(folder / "a.txt")], "format": "text", "licence": "MIT", "language": "en"}
    if "source" in optouts:
        source |= dict(optouts.pop("source"))  # type: ignore[call-overload]
    table = {
        "name": "test", "sources": [source], "mix": {"target": {"a": 1.0}}, "curate": {"optout": optouts}
    }  # fmt: skip
    recipe = recipes.from_table(table, "test")
    prepared = folder / "prepared"
    prepared.mkdir()
    optout.prepare(recipe, prepared)
    optout.prepare(recipe, prepared)  # a second time changes nothing
    return Unit(recipe.sources[0], (), recipe.curate, folder / "unit", prepared)


def why(unit: Unit, url: str = "", licence: str = "MIT", **facts: object) -> str | None:
    draft = Draft("a.html", "text", Facts(url=url, **facts), False, "en", licence=licence)  # type: ignore[arg-type]
    step = optout.step(unit)
    assert step is not None
    step([draft])
    if draft.drop is not None:
        assert draft.drop.reason == "opt_out" and draft.text == "" and draft.encoded == b""
    else:
        assert draft.text == "text"
    return draft.drop.detail if draft.drop else None


@pytest.mark.parametrize(
    "signal",
    [
        "robots: noai",
        "robots: noindex, NOAI, noimageai",
        "robots gptbot: noai",
        "x-robots-tag: noai",
        "x-robots-tag: otherbot: noindex, CCBot: noai",
        "x-robots-tag: max-snippet: 20, noml",
        "tdm-reservation: 1",
    ],
)
def test_signals_of_pages_and_headers_reserve_by_default(tmp_path: Path, signal: str) -> None:
    detail = why(build(tmp_path), signals=("robots: nosnippet", signal))
    assert detail is not None and signal in detail


@pytest.mark.parametrize(
    "signal",
    [
        "robots: noindex, nofollow",
        "robots: noimageai",
        "robots otherbot: noai",
        "x-robots-tag: otherbot: noai",
        "tdm-reservation: 0",
        "tdm-policy: https://example.org/policy",
    ],
)
def test_signals_that_say_something_else_do_not(tmp_path: Path, signal: str) -> None:
    assert why(build(tmp_path), signals=(signal,)) is None


def test_directives_are_the_recipes_choice(tmp_path: Path) -> None:
    unit = build(tmp_path, directives=["noindex"])
    assert why(unit, signals=("robots: none",)) and why(unit, signals=("robots: noai",)) is None


def test_no_rule_no_step(tmp_path: Path) -> None:
    assert optout.step(build(tmp_path, signals=False)) is None


def test_a_policy_is_told(tmp_path: Path) -> None:
    detail = why(build(tmp_path), signals=("tdm-reservation: 1", "tdm-policy: https://example.org/p"))
    assert detail == "tdm: tdm-reservation: 1, tdm-policy: https://example.org/p"


ROBOTS = "User-agent: GPTBot\nDisallow: /private/\n\nUser-agent: *\nAllow: /\n"


def test_robots_files_in_a_folder_and_in_json_lines(tmp_path: Path) -> None:
    folder = tmp_path / "robots"
    folder.mkdir()
    (folder / "example.org.txt").write_text(ROBOTS, encoding="utf-8")
    lines = tmp_path / "more.jsonl"
    rows = [{"host": "https://exemple.fr:8080/robots.txt", "text": "User-agent: *\nDisallow: /"}]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    unit = build(tmp_path, robots=[str(folder), str(lines)])
    found = why(unit, "https://Example.org/private/a?b")
    assert found == "robots: robots.txt for GPTBot: disallow: /private/"
    assert why(unit, "http://example.org/public") is None and why(unit, "https://www.example.org/private/") is None
    assert why(unit, "https://exemple.fr:8080/x") and why(unit, "https://exemple.fr/x") is None
    assert why(unit, "not a url") is None and why(unit, "http://[broken/private/") is None


def warc(url: str, body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    block = f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Type: application/http\r\n"
    return head.encode() + f"Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def test_texts_of_hosts_are_found_in_archives(tmp_path: Path) -> None:
    packed = gzip.compress(b"User-agent: *\nDisallow: /b")
    records = [
        warc("https://a.org/robots.txt", ROBOTS.encode()),
        warc("https://b.org/robots.txt", packed, headers="Content-Encoding: gzip\r\n"),
        warc("https://c.org/robots.txt", b"User-agent: *\nDisallow: /", "404 Not Found"),
        warc("https://d.org/ai.txt", b"User-Agent: *\nDisallow: *.html\n"),
        warc("https://e.org/.well-known/tdmrep.json", b'[{"location": "/", "tdm-reservation": 1}]'),
    ]
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(b"".join(map(gzip.compress, records)))
    unit = build(tmp_path, robots_in_sources=True, source={"paths": [str(path)], "format": "warc"})
    assert why(unit, "https://a.org/private/") and why(unit, "https://b.org/b") and why(unit, "https://c.org/") is None
    assert why(unit, "https://d.org/page", media_type="text/html") == "ai_txt: ai.txt for orfevre: disallow: *.html"
    assert why(unit, "https://d.org/page", media_type="text/plain") is None
    assert why(unit, "https://d.org/page.html5") is None
    assert why(unit, "https://e.org/x")


def test_tdmrep_takes_the_first_rule_that_matches(tmp_path: Path) -> None:
    rules = [
        {"location": "/open/*", "tdm-reservation": 0},
        {"location": "/*.pdf$", "tdm-reservation": 1, "tdm-policy": "https://example.org/p"},
        {"location": "/open/closed", "tdm-reservation": 1},
        {"location": "/all", "tdm-reservation": 1},
        "nonsense",
    ]
    path = tmp_path / "example.org.json"
    path.write_text(json.dumps(rules), encoding="utf-8")
    (tmp_path / "broken.org.json").write_text("{", encoding="utf-8")
    unit = build(tmp_path, tdmrep=[str(path), str(tmp_path / "broken.org.json")])
    assert why(unit, "https://example.org/open/closed") is None and why(unit, "https://example.org/") is None
    assert "tdm-policy" in (why(unit, "https://example.org/a.pdf") or "") and why(unit, "https://example.org/all")
    assert why(unit, "https://broken.org/all") is None


def test_lists_of_hosts_and_of_addresses(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.gz"
    hosts.write_bytes(
        gzip.compress(b"# list\nExample.org\n=only.net\n0.0.0.0 blocked.com localhost # x\n*.stars.fr\n\n")
    )
    urls = tmp_path / "urls.txt"
    urls.write_text("https://a.org/blog/\nhttp://b.org\nhttps://a.org/blog/sub/\n", encoding="utf-8")
    unit = build(tmp_path, domains=[str(hosts)], urls=[str(urls)])
    for url in ("https://example.org/", "http://deep.www.example.org:81/x", "https://only.net", "https://blocked.com/"):
        assert (why(unit, url) or "").startswith("domains: ")
    for url in ("https://notexample.org/", "https://www.only.net/", "https://www.blocked.com/", "https://org/"):
        assert why(unit, url) is None
    assert why(unit, "http://stars.fr/") and why(unit, "", canonical_url="https://example.org/a")
    assert why(unit, "http://a.org/blog/x") == "urls: a.org/blog/" and why(unit, "https://b.org/y")
    assert why(unit, "https://a.org/bl") is None and why(unit, "https://b.org.evil.com/") is None


def test_licences_allowed_and_denied(tmp_path: Path) -> None:
    unit = build(tmp_path, licences_allow=["CC-*", "MIT"], licences_deny=["CC-*-NC-*"])
    assert why(unit, licence="cc-by-4.0") is None and why(unit, licence="MIT") is None
    assert why(unit, licence="CC-BY-NC-SA-4.0") and why(unit, licence="all rights reserved")


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("domains", "http://\n", "is no host"),
        ("urls", "   ://x\n", "is no URL"),
        ("robots", '{"host": "a.org"}\n', "is not"),
    ],
)
def test_lists_that_cannot_be_used_are_refused(tmp_path: Path, field: str, text: str, said: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        build(tmp_path, **{field: [str(path)]})
    assert "line 1" in str(caught.value) and str(path) in str(caught.value)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"curate\.optout\.domains\[0\]"):
        build(tmp_path, domains=[str(tmp_path / "none.txt")])


def test_rules_of_ones_own_are_named_and_must_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine:
        name = "mine"

        @classmethod
        def load(cls, rules: recipes.OptOut, folder: Path) -> "Mine":
            return cls()

        def judge(self, case: Case) -> str | None:
            return "secret" if "secret" in case.urls[0] else None

    point = EntryPoint("mine", "nowhere:Mine", optout.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Mine)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group, name: [point] if name == "mine" else [])
    unit = build(tmp_path, extra_rules=["mine"])
    assert why(unit, "https://a.org/secret") == "mine: secret" and why(unit, "https://a.org/") is None
    (tmp_path / "other").mkdir()
    with pytest.raises(RecipeError, match="yours"):
        build(tmp_path / "other", extra_rules=["yours"])


@given(st.sets(st.text("ab/.", min_size=1, max_size=6), max_size=30), st.text("ab/.", max_size=8))
def test_prefixes_find_what_a_scan_finds(
    tmp_path_factory: pytest.TempPathFactory, prefixes: set[str], url: str
) -> None:
    stem = tmp_path_factory.mktemp("prefixes") / "urls"
    Prefixes.write(stem, [prefix.encode() for prefix in prefixes])
    found = Prefixes(stem).find(url.encode())
    assert (found is not None) == any(url.startswith(prefix) for prefix in prefixes)


def test_host_lists_keep_the_first_file(tmp_path: Path) -> None:
    hosts = ["a.org", "b.org", "a.org"]
    HostList.write(
        tmp_path / "h", np.array([key_of(host) for host in hosts], np.uint64), np.array([0, 1, 2], np.uint16)
    )
    found = HostList(tmp_path / "h")
    assert [found.find(host) for host in ("a.org", "b.org", "c.org")] == [0, 1, None]
