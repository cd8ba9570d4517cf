"""Lines that many documents share are taken out, counted, and nothing else is touched."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orfevre import recipe
from orfevre.curate import boilerplate, stage
from orfevre.recipe import Recipe

MENU = "Home | About us | Contact and press"
FOOTER = "All rights reserved, do not copy."
MIN_DOCUMENTS = 6


def body(number: int) -> str:
    return "\n".join(
        f"Line {place} of text {number} says a{number * 100 + place} quite plainly here." for place in range(8)
    )


@pytest.fixture
def site(tmp_path: Path) -> dict[str, Any]:
    """Twelve pages with a menu, eight with a footer too, one that is hardly more, one twin under another menu; and code
    with a line that all its files share."""
    pages = [f"{MENU}\n\n{body(n)}\n\n{FOOTER if n % 3 else 'Own end.'}" for n in range(12)]
    pages += [f"{MENU.upper()}\n\nToo little.\n\n{FOOTER}", f"Search this site now\n{body(3)}", body(40)]
    (tmp_path / "site.jsonl").write_text("".join(json.dumps({"text": page}) + "\n" for page in pages))
    for number in range(9):
        lines = [f"x_{number}_{place} = {number} + {place}" for place in range(30)]
        (tmp_path / f"m{number}.py").write_text("\n".join(["import the same thing", *lines]))
    return {
        "name": "site",
        "data": str(tmp_path),
        "sources": [
            {
                "name": "pages",
                "paths": ["{data}/site.jsonl"],
                "format": "jsonl",
                "licence": "CC0-1.0",
                "language": "en",
            },
            {"name": "code", "paths": ["{data}/*.py"], "format": "code", "licence": "MIT", "language": "python"},
        ],
        "curate": {
            "validation_fraction": 0.2,
            "quality": {"min_chars": 60, "min_words": 1}
            if "min_words" in recipe.Quality.model_fields
            else {"min_chars": 60},
            "boilerplate": {"min_documents": MIN_DOCUMENTS},
        },
        "mix": {"target": {"pages": 1.0}},
        "runner": {"kind": "inline"},
    }


def curate(table: dict[str, Any], out: Path) -> dict[str, Any]:
    out.mkdir()
    stage.run(Recipe.model_validate(table), {}, out)
    return json.loads((out / "stats.json").read_text())["sources"]


def rows(out: Path, kind: str, source: str) -> list[dict[str, Any]]:
    return pq.read_table(out / kind / f"{source}.parquet").to_pylist()


def test_shared_lines_go_and_all_others_stay(site: dict[str, Any], tmp_path: Path) -> None:
    plain = curate({**site, "curate": {**site["curate"], "boilerplate": {}}}, tmp_path / "plain")
    stats = curate(site, tmp_path / "out")
    pages = map(json.loads, (tmp_path / "site.jsonl").read_text().splitlines())
    before = {f"{{data}}/site.jsonl#{number}": page["text"] for number, page in enumerate(pages, start=1)}
    common = {
        line for line, count in Counter(line for text in before.values() for line in set(text.split("\n"))).items()
        if count >= MIN_DOCUMENTS and len(line.split()) > 2
    }  # fmt: skip
    assert common == {MENU, FOOTER}
    for row in rows(tmp_path / "out", "documents", "pages"):
        kept = [line for line in before[row["location"]].split("\n") if line]
        assert [line for line in row["text"].split("\n") if line] == [line for line in kept if line not in common]
        assert row["num_bytes"] == len(row["text"].encode())
        assert row["sha256"] == hashlib.sha256(row["text"].encode()).hexdigest()
        gone = len([line for line in kept if line in common])
        assert json.loads(row["edits"] or "{}").get("boilerplate", 0) == gone
        assert "\n\n\n" not in row["text"]
    assert stats["pages"]["read"] == plain["pages"]["read"] and stats["code"] == plain["code"]
    assert (
        stats["pages"]["edits"]["boilerplate"] == 12 + 8 - 1
    )  # without its menu a page is a near-duplicate of its twin
    dropped = {row["reason"]: row for row in rows(tmp_path / "out", "dropped", "pages")}
    assert dropped["boilerplate"]["text"].startswith(MENU.upper()) and "without 2" in dropped["boilerplate"]["detail"]
    assert all("import the same thing" in row["text"] for row in rows(tmp_path / "out", "documents", "code"))


def test_units_and_ranges_change_no_byte(site: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curate(site, tmp_path / "one")
    monkeypatch.setattr(boilerplate, "RANGE_BYTES", 500)
    text = (tmp_path / "site.jsonl").read_text().splitlines(keepends=True)
    site["curate"]["shard_bytes"] = 1500
    curate(site, tmp_path / "many")
    assert len(text) == 15
    for kind in ("documents", "dropped"):
        for source in ("pages", "code"):
            name = f"{kind}/{source}.parquet"
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_it_goes_on_from_what_stands(site: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curate(site, tmp_path / "whole")
    out = tmp_path / "cut"

    def fail(task: boilerplate.Task) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(boilerplate, "rewrite", fail)
        curate(site, out)
    monkeypatch.setattr(boilerplate, "count", fail)
    monkeypatch.setattr(boilerplate, "common", fail)
    stage.run(Recipe.model_validate(site), {}, out)
    for path in (tmp_path / "whole" / "documents").glob("*.parquet"):
        assert path.read_bytes() == (out / "documents" / path.name).read_bytes()
