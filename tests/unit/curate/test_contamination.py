"""Planted items are found and their documents dropped; nothing else is; both sides are recorded."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orfevre import pipeline
from orfevre.curate import contamination, contamination_index
from orfevre.curate.draft import Draft
from orfevre.curate.units import Unit
from orfevre.data.readers.record import NOTHING_SAID
from orfevre.kernels import overlap
from orfevre.recipe import Recipe, from_table

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "ri", "so", "tu")


def words(seed: int, count: int) -> str:
    rng = random.Random(seed)
    return " ".join("".join(rng.choices(SYLLABLES, k=3)) for _ in range(count))


def recipe_with(table: dict[str, Any], folder: Path, items: list[str], **rules: Any) -> Recipe:
    lines = "".join(json.dumps({"question": item}) + "\n" for item in items)
    (folder / "quiz.jsonl").write_text(lines, encoding="utf-8")
    quiz = {"name": "quiz", "paths": [str(folder / "quiz.jsonl")], "format": "jsonl", "fields": ["question"]}
    return from_table(table | {"tasks": [quiz], "curate": {"contamination": rules}}, "tiny.toml")


def judged(recipe: Recipe, folder: Path, texts: list[str]) -> list[str]:
    """The detail of each text's drop, empty where it stays."""
    contamination.prepare(recipe, folder / "prepared")
    unit = Unit(recipe.sources[0], (), recipe.curate, folder / "unit", folder / "prepared")
    step = contamination.step(unit)
    assert step is not None
    drafts = [Draft(f"t#{n}", text, NOTHING_SAID, False, "en") for n, text in enumerate(texts)]
    step(drafts)
    assert {draft.drop.reason for draft in drafts if draft.drop} <= {"contaminated"}
    return [draft.drop.detail if draft.drop else "" for draft in drafts]


def test_without_tasks_there_is_no_step(small_recipe: Recipe, tmp_path: Path) -> None:
    contamination.prepare(small_recipe, tmp_path)
    assert contamination.step(Unit(small_recipe.sources[0], (), small_recipe.curate, tmp_path, tmp_path)) is None


def test_an_item_is_found_however_it_is_set(table: dict[str, Any], tmp_path: Path) -> None:
    item = "L'élève " + words(1, 18)
    texts = [
        f"{words(2, 200)} {item} {words(3, 200)}",
        f"{words(2, 40)}\n« {item.upper().replace(' ', ', ')} » {words(3, 40)}",
        words(4, 400),
        f"{words(2, 40)} {' '.join(item.split()[:12])} {words(3, 40)}",  # 13 words, one of eight n-grams
    ]
    recipe = recipe_with(table, tmp_path, [words(9, 30), item])
    assert judged(recipe, tmp_path, texts) == ["quiz 2: 1.00 of its n-grams", "quiz 2: 1.00 of its n-grams", "", ""]


def test_the_share_decides(table: dict[str, Any], tmp_path: Path) -> None:
    item = words(1, 32)  # 20 n-grams
    held = [" ".join(item.split()[: 12 + count]) for count in (0, 1, 5, 6, 20)]
    found = judged(recipe_with(table, tmp_path, [item], min_overlap=0.3), tmp_path, held)
    assert found == ["", "", "", "quiz 1: 0.30 of its n-grams", "quiz 1: 1.00 of its n-grams"]


def test_items_of_few_words_match_whole_or_not_at_all(table: dict[str, Any], tmp_path: Path) -> None:
    items = [words(seed, count) for seed, count in ((1, 7), (2, 8), (3, 12), (4, 13))]
    recipe = recipe_with(table, tmp_path, items)
    texts = [f"before {item} after" for item in items]
    parts = [f"before {item.rpartition(' ')[0]} after" for item in items]
    assert [bool(detail) for detail in judged(recipe, tmp_path, texts + parts)] == [False, True, True, True] + [
        False
    ] * 4


def test_wording_that_many_items_share_does_not_count(table: dict[str, Any], tmp_path: Path) -> None:
    stem = words(1, 20)
    items = [f"{stem} {words(seed, 14)}" for seed in range(10, 16)]
    texts = [f"x {stem} y", f"x {items[3]} y"]
    loose = judged(recipe_with(table, tmp_path, items, max_items=6), tmp_path, texts)
    assert loose[0].startswith("quiz 1: 0.36") and loose[0].endswith("; 5 more")
    other = tmp_path / "other"
    other.mkdir()
    assert judged(recipe_with(table, other, items, max_items=5), other, texts) == ["", "quiz 4: 1.00 of its n-grams"]


def test_the_twin_builds_the_same_index(table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_with(table, tmp_path, [f"Été {words(seed, 6 + seed)}" for seed in range(30)])
    contamination_index.build(recipe, tmp_path / "kernel")
    monkeypatch.setattr(overlap, "_library", lambda: None)
    contamination_index.build(recipe, tmp_path / "twin")
    for path in (tmp_path / "kernel").iterdir():
        assert path.read_bytes() == (tmp_path / "twin" / path.name).read_bytes(), path.name


def test_preparing_again_changes_nothing(table: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_with(table, tmp_path, [words(1, 20)])
    contamination.prepare(recipe, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    contamination.prepare(recipe, tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


ENGLISH = "The old man walked to the river and looked at the water for a long time before he said that it was deep."


def essay(seed: int) -> str:
    rng = random.Random(seed)
    lines = [" ".join(rng.sample(ENGLISH.split(), 14)) + f" {rng.randrange(10**6)}." for _ in range(12)]
    return "\n".join(lines)


@pytest.fixture
def curated(table: dict[str, Any], tmp_path: Path) -> tuple[Path, list[str]]:
    """A finished curate stage over twelve texts, two of which hold an item, and one a part of one."""
    items = [ENGLISH.replace("river", f"river number {n} of many") + " " + words(n, 12) for n in range(4)]
    texts = [essay(seed) for seed in range(12)]
    texts[2] += "\n" + items[1]
    texts[5] += "\n" + items[1].upper() + "\n" + items[3]
    texts[7] += "\n" + " ".join(items[0].split()[-13:])
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "prose.jsonl").write_text(lines, encoding="utf-8")
    prose = table["sources"][0] | {"paths": [str(tmp_path / "prose.jsonl")], "format": "jsonl"}
    table |= {"sources": [prose], "mix": {"target": {"prose": 1.0}}, "runner": {"kind": "inline"}}
    rules = {"min_overlap": 0.5}
    table["tasks"] = [{"name": "quiz", "paths": [str(tmp_path / "quiz.jsonl")], "format": "jsonl",
                       "fields": ["question"]}]  # fmt: skip
    recipe = recipe_with(table, tmp_path, items, **rules)
    pipeline.run_one(recipe, "curate")
    return pipeline.run_folder(recipe) / "curate", items


def test_no_item_survives_in_documents_and_both_sides_are_recorded(curated: tuple[Path, list[str]]) -> None:
    folder, items = curated
    kept = "\n".join(pq.read_table(folder / "documents" / "prose.parquet").column("text").to_pylist()).lower()
    assert not [item for item in items if item.lower() in kept]
    dropped = pq.read_table(folder / "dropped" / "prose.parquet").to_pylist()
    details = sorted(row["detail"] for row in dropped if row["reason"] == "contaminated")
    assert len(details) == 2 and details[0].startswith("quiz 2: 1.00")
    quiz = json.loads((folder / "contamination.json").read_text(encoding="utf-8"))["tasks"]["quiz"]
    assert (quiz["items"], quiz["documents_dropped"], quiz["dirty"], quiz["not_checked"]) == (4, 2, 2, 0)
    found = {row["item"]: row for row in quiz["found"]}
    assert found[2]["dropped"] == {"documents": 2, "overlap": 1.0}
    assert found[4]["dropped"] == {"documents": 1, "overlap": 1.0}
    assert found[1]["kept"]["documents"] == 1 and 0 < found[1]["kept"]["overlap"] < 0.5
    assert found[2]["location"].endswith("quiz.jsonl#2")


def test_real_passages_are_found(data: Path, table: dict[str, Any], tmp_path: Path) -> None:
    """Passages of BoolQ that Wikipedia has: the real case among the development data."""
    import io

    import zstandard

    boolq = {"name": "boolq", "paths": [str(data / "eval/llm-foundry/boolq.jsonl")], "format": "jsonl",
             "fields": ["query"]}  # fmt: skip
    contamination_index.build(from_table(table | {"tasks": [boolq]}, "tiny.toml"), tmp_path / "index")
    items = contamination_index.load(tmp_path / "index")
    wanted = {"enwiki-56903872": 2722, "enwiki-56832336": 2182, "enwiki-56776816": 2762}
    with (data / "text/wiki_en.jsonl.zst").open("rb") as file:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        rows = [row for line in stream if (row := json.loads(line))["id"] in wanted]
    documents, found, shares = items.shares([row["text"].encode() for row in rows])
    best = {
        rows[document]["id"]: items.name(item)[1]
        for document, item, share in zip(documents.tolist(), found.tolist(), shares.tolist(), strict=True)
        if share > 0.4
    }
    assert best == wanted
