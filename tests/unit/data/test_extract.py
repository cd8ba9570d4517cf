"""Main text of pages: what is in the page and no more, in the order of the page; the three methods; time limits."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks import curation_extraction
from hypothesis import given
from hypothesis import strategies as st

from orfevre import recipe as recipes
from orfevre.data.readers import extract
from orfevre.data.readers.extract_blocks import NAMES, Block, blocks, features, join
from orfevre.data.readers.extract_rule import WEIGHTS, weights
from orfevre.data.readers.record import Broken, Record
from orfevre.data.readers.web import NOTHING_TOLD, page, read_html
from orfevre.data.readers.web_encoding import decode

SENTENCE = "Une phrase de la page, assez longue pour être du texte, suit une autre et dit {} de plus. "
BODY = "".join(f"<p>{(SENTENCE.format(word)) * 3}</p>" for word in ("un mot", "deux mots", "trois mots"))
PAGE = (
    "<html><head><title>t</title></head><body><nav><a href='/'>Accueil</a></nav><article><h1>Le titre de la page</h1>"
    f"{BODY}<h2>Une partie</h2>{BODY}<pre>def f(x):\n    return x &lt; 3\n</pre></article>"
    "<div class='comments'><p>Un commentaire, comme il y en a sous tous les articles du monde entier.</p></div>"
    "<div><a href='/x'>Lire aussi</a> <a href='/y'>Partager</a></div><footer>© 2024</footer></body></html>"
)


def text_of(html: str, **extraction: object) -> str:
    (item,) = read_html(html.encode(), recipes.Curate(extraction=extraction))  # type: ignore[arg-type]
    assert isinstance(item, Record)
    return item.text


def test_text_is_kept_and_its_surroundings_are_not() -> None:
    text = text_of(PAGE)
    assert SENTENCE.format("trois mots").strip() in text and "def f(x):\n    return x < 3" in text
    for around in ("Accueil", "commentaire", "Lire aussi", "Partager", "©"):
        assert around not in text


@pytest.mark.parametrize("method", ["cascade", "resiliparse", "trafilatura"])
def test_each_method_finds_the_text(method: str) -> None:
    text = text_of(PAGE, method=method)
    assert SENTENCE.format("deux mots").strip() in text and "Accueil" not in text


def test_little_text_is_read_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "second_text", lambda source: "de trafilatura")
    short = f"<html><body><article><p>{SENTENCE.format('un mot')}</p></article></body></html>"
    assert text_of(short) == "de trafilatura" and text_of(short, min_chars=0) == SENTENCE.format("un mot").strip()
    assert text_of(PAGE) != "de trafilatura"
    monkeypatch.setattr(extract, "second_text", lambda source: "")
    assert text_of(short) == SENTENCE.format("un mot").strip()


def test_a_slow_second_answer_leaves_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "second_text", lambda source: time.sleep(30) or "late")
    rules = recipes.Curate(reading=recipes.Reading(max_seconds=0.05))
    item = page(0, f"<article><p>{SENTENCE}</p></article>".encode(), NOTHING_TOLD, rules)
    assert isinstance(item, Record) and item.text.startswith("Une phrase")


def test_a_second_answer_that_fails_leaves_the_first_and_a_missing_library_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(error: Exception) -> Callable[[str], str]:
        def raising(source: str) -> str:
            raise error

        return raising

    short = f"<article><p>{SENTENCE}</p></article>"
    monkeypatch.setattr(extract, "second_text", fail(RecursionError("deep")))
    assert text_of(short).startswith("Une phrase")
    monkeypatch.setattr(extract, "second_text", fail(ImportError("no trafilatura")))
    with pytest.raises(ImportError):
        text_of(short)


def test_a_page_too_slow_for_the_first_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "first_text", lambda tree: time.sleep(30) or "late")
    item = page(3, PAGE.encode(), NOTHING_TOLD, recipes.Curate(reading=recipes.Reading(max_seconds=0.05)))
    assert isinstance(item, Broken) and (item.reason, item.number) == ("timeout", 3)


def test_lines_and_their_kinds() -> None:
    marked = (
        '<h1>T &lt;x&gt;</h1>\n\n<p>One <a href="/x?a=1&amp;b=2">link</a><br>\nsecond</p>\n\n'
        "<pre>a\n\n  b\n</pre>\nloose\n"
        "<ul>\n  <li>item\n\n  <p>within  </p></li>\n</ul>"
    )
    found = blocks(marked)
    assert [(block.kind, block.text, block.link_chars) for block in found] == [
        ("h1", "T <x>", 0), ("p", "One link", 4), ("t", "second", 0), ("pre", "a\n\n  b", 0), ("t", "loose", 0),
        ("li", "item", 0), ("p", "within", 0),
    ]  # fmt: skip
    assert join(found).startswith("T <x>\n\nOne link\nsecond\n\na\n\n  b\n\nloose\n- item")


def test_every_feature_has_a_weight() -> None:
    assert set(WEIGHTS) == set(NAMES) and weights().shape == (len(NAMES),)


@given(
    st.lists(
        st.tuples(st.sampled_from(["h1", "h", "p", "li", "pre", "t"]), st.text(min_size=1)), min_size=1, max_size=9
    )
)
def test_features_are_finite_and_lines_are_kept_whole_in_order(drawn: list[tuple[str, str]]) -> None:
    found = [Block(kind, text, min(3, len(text))) for kind, text in drawn]
    table = features(found)
    assert table.shape == (len(found), len(NAMES)) and np.isfinite(table).all()
    kept = extract.kept(found)
    assert [block for block in found if any(block is other for other in kept)] == kept


def test_pages_nested_without_end_are_counted_at_once() -> None:
    (deep,) = read_html(b"<div>" * 300_000 + b"text", recipes.Curate())
    assert isinstance(deep, Broken) and "nested" in deep.detail
    (flat,) = read_html(f"<article><p>{SENTENCE}</p>{'<br><p>x</p>' * 12_000}".encode(), recipes.Curate())
    assert isinstance(flat, Record)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page_or_are_counted(data: bytes) -> None:
    (item,) = read_html(data, recipes.Curate(extraction=recipes.Extraction(min_chars=0)))
    assert isinstance(item, Record | Broken)
    if isinstance(item, Record):
        item.text.encode()


@pytest.mark.parametrize(
    ("data", "declared", "wanted"),
    [
        ("<meta charset=utf-8>L’été, où l’on mange du bœuf. ".encode("cp1252") * 9, None, "bœuf"),
        ("<meta charset=iso-8859-15>Cœur à 5 €. ".encode("iso-8859-15"), None, "Cœur à 5 €"),
        ("L’œuvre".encode("cp1252"), "iso-8859-1", "L’œuvre"),
        ("<meta charset=iso-8859-1>L’œuvre".encode(), "iso-8859-1", "L’œuvre"),
        ("L’œuvre d’été. ".encode() * 9 + b"\xff", "utf-8", "L’œuvre d’été. \ufffd"),
        ("été".encode("utf-16"), None, "été"),
        ("日本語の文章です。".encode("shift_jis") * 9, "nonsense", "日本語"),
        (b"abc\xff", "nonsense", "abc"),
    ],
)
def test_encodings_are_what_the_bytes_say(data: bytes, declared: str | None, wanted: str) -> None:
    assert wanted in decode(data, declared)


@given(st.binary(max_size=100), st.sampled_from([None, "utf-16", "utf-7", "idna", "hex", "\0", "iso-2022-jp"]))
def test_any_bytes_decode(data: bytes, declared: str | None) -> None:
    decode(data, declared).encode()


@pytest.mark.slow
def test_the_goal_is_met_on_the_half_that_was_not_fitted_on(data: Path) -> None:
    rows = [
        row
        for row in curation_extraction.pages(data / "web", "snippets")
        if not curation_extraction.is_for_choosing(row)
    ]
    pairs = [
        (row, item.text)
        for row in rows
        for item in read_html(row["bytes"], recipes.Curate())
        if isinstance(item, Record)
    ]
    assert len(pairs) == len(rows) and curation_extraction.snippet_scores(pairs)[2] >= 0.92
