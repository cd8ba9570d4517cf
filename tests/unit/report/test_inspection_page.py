"""The pages of `orfevre inspect` are whole, self-contained, safe against what a text says, and read without colour."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.test_report_build import Page

from orfevre.errors import InputError
from orfevre.report import comparison, inspection

EVIL = "<script>alert('é')</script>\n"
LOAD = {"load_entropy": 1.9, "load_entropy_share": 0.95, "token_entropy": 1.0, "token_entropy_share": 0.5,
        "router_z": 2.0, "counts": [6, 2, 1, 1]}  # fmt: skip
ABOUT = {"path": "m", "name": "m<1>", "kind": "run", "window": 32}
PARTS = [{"part": "experts", "parameters": 10, "bytes": 40, "share": 1.0, "rms": 0.1}]


def looked(num_layers: int = 2, num_tokens: int = 5) -> dict[str, Any]:
    token = {"id": 3, "text": EVIL, "shown": EVIL.strip(), "bits": 1.5, "experts": [[2, 0]] * num_layers,
             "weights": [[0.75, 0.25]] * num_layers}  # fmt: skip
    begin = token | {"text": "", "shown": "<s>", "bits": None}
    told = {
        "mutual_information": 0.1,
        "chance": 0.01,
        "chance_95": 0.02,
        "share": 0.1,
        "distances": [[0, 0.2], [0.2, 0]],
    }
    return {
        "model": ABOUT, "config": {"num_experts": 4, "num_layers": num_layers, "experts_per_token": 2},
        "words": ["A model.", "Another word."],
        "parameters": {"total": 10, "active": 5, "bytes": 40, "parts": PARTS, "tensors": [],
                       "layers": [{"layer": layer, "experts": 0.1} for layer in range(num_layers)]},
        "findings": [{"tensor": "norm.weight", "kind": "dead", "text": "every weight is zero"}],
        "text": {"source": "-", "bytes": 90, "tokens_read": num_tokens, "window": 32, "windows": 1, "bits": 9.0,
                 "bits_per_byte": 0.1, "layers": [{"layer": layer} | LOAD for layer in range(num_layers)],
                 "tokens": [begin] + [token] * (num_tokens - 1)},
        "domains": {
            "names": ["a", "b"],
            "sources": {name: {"documents": 1, "tokens": 5, "counts": [[6, 2, 1, 1]] * num_layers} for name in "ab"},
            "layers": [{"layer": layer} | LOAD | told for layer in range(num_layers)],
            "tokens": [[[{"token": "x", "shown": EVIL.strip(), "id": 3, "count": 5, "of": 6, "lift": 2.0}]] * 4]
            * num_layers,
        },
    }  # fmt: skip


def compared() -> dict[str, Any]:
    side = {"total": 10, "active": 5, "bytes": 40, "parts": PARTS}
    score = {"bits_per_byte": 1.5, "interval": [1.4, 1.6]}
    spent = {"wall_seconds": 3.0, "flops": 1e9, "energy_kwh": 0.01}
    return {
        "a": ABOUT, "b": ABOUT | {"name": EVIL}, "same": False,
        "config": [{"key": "sliding_window", "a": 0, "b": 8, "training_only": False}],
        "parameters": {"a": side, "b": side}, "findings": {"a": [], "b": looked()["findings"]},
        "tensors": [{"name": "w", "part": "experts", "layer": 0, "relative": 0.25, "note": ""},
                    {"name": "v", "part": "experts", "layer": 0, "relative": None, "note": "not in A"}],
        "layers": [{"layer": 0, "pairs": [[0, 1], [1, 0]], "permuted": True, "similarity": [1.0, 0.9],
                    "relative": [0.0, 0.3]}],
        "tokenizer": {"same": False, "note": "", "size": [5, 6], "added": [EVIL], "removed": [], "renumbered": 2},
        "text": {"bytes": 9, "tokens": [3, 3], "window": 32, "bits": [9.0, 8.0], "bits_per_byte": [1.0, 0.9],
                 "note": "", "layers": [{"layer": 0, "same_first": 1.0, "overlap": 0.9, "load_distance": 0.1}]},
        "runs": {
            "recipe": [{"key": "seed", "a": 1, "b": 2}],
            "data": [{"source": "web", "a": {"tokens": 5}, "b": None, "same": False}],
            "mixture": [], "scores": [{"source": "web", "a": score, "b": score, "same_text": True}],
            "ledger": {"a": spent, "b": spent},
        },
    }  # fmt: skip


PAGES: list[tuple[Callable[[dict[str, Any], Path], None], dict[str, Any]]] = [
    (inspection.write, looked()),
    (inspection.write, looked() | {"text": None, "domains": None, "findings": []}),
    (comparison.write, compared()),
    (comparison.write, compared() | {"text": None, "runs": None, "config": [], "tensors": [], "layers": []}),
]


@pytest.mark.parametrize(("write", "table"), PAGES)
def test_a_page_is_balanced_self_contained_and_safe(
    write: Callable[[dict[str, Any], Path], None], table: dict[str, Any], tmp_path: Path
) -> None:
    write(table, tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "img", "object", "embed", "base"}
    assert all(target.startswith(("#", "data:,")) for target in page.attributes("src", "href"))
    assert all(inside.startswith("#") for inside in re.findall(r"url\(([^)]*)\)", text))
    ids = list(page.attributes("id"))
    assert len(ids) == len(set(ids))
    assert {name for names in page.attributes("aria-labelledby") for name in names.split()} <= set(ids)
    assert "#0101" not in text
    assert '<meta charset="utf-8">' in text


def test_a_text_in_colours_is_the_text_with_its_experts_numbers(tmp_path: Path) -> None:
    inspection.write(looked(), tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    paragraphs = re.findall(r'<p class="tokens">.*?</p>', text, re.DOTALL)
    assert len(paragraphs) == 2
    for paragraph in paragraphs:
        page = Page(paragraph)
        assert [attributes["class"] for tag, attributes in page.tags if tag == "span"] == ["tone2"] * 5
        assert re.sub(r"↵?2(?=\n|$|<)", "", "".join(page.text)).startswith("<s>" + EVIL.rstrip())
        assert "expert 2 75" in next(page.attributes("title")) and "expert 0 25" in next(page.attributes("title"))
        assert "".join(page.text).count("2") == 5  # the number of the expert behind every token


def test_what_is_left_out_of_a_page_is_said(tmp_path: Path) -> None:
    inspection.write(looked(num_layers=30, num_tokens=1000), tmp_path / "x.html")
    page = Page((tmp_path / "x.html").read_text(encoding="utf-8"))
    words = "".join(page.text)
    assert "The first 400 of 1\u202f000 tokens are shown." in words and "8 of 30 layers are shown." in words
    assert sum(attributes.get("class") == "tokens" for _, attributes in page.tags) == 8


def test_plots_say_in_words_what_they_show(tmp_path: Path) -> None:
    inspection.write(looked(), tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    described = re.findall(r"<desc[^>]*>(.*?)</desc>", text)
    assert len(described) == 6  # three plots, for a wide page and for a phone
    assert any("a: 60.0\u202f% to expert 0 of layer" in line for line in described)


@pytest.mark.parametrize(("write", "table"), PAGES[::2])
def test_a_place_that_cannot_be_written_is_named(
    write: Callable[[dict[str, Any], Path], None], table: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no/x\.html: cannot be written"):
        write(table, tmp_path / "no" / "x.html")
