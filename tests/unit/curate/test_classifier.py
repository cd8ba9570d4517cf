"""The classifier tells two kinds of text apart, says how well, and refuses what it cannot learn from."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from orfevre import recipe
from orfevre.curate import classifier, linear, stage
from orfevre.curate.draft import Draft
from orfevre.curate.units import Unit
from orfevre.data.documents import path_of
from orfevre.data.readers.record import NOTHING_SAID
from orfevre.errors import InputError, RecipeError
from orfevre.recipe import Recipe

GOOD = "gold silver craft forge anvil hammer careful patient bright engraved".split()  # noqa: SIM905
ORDINARY = "click buy now free win offer cheap deal cookie subscribe".split()  # noqa: SIM905
BOTH = "the of and to in is that it was for on are as with".split()  # noqa: SIM905

LOOSE = {"min_chars": 1}


def text(rng: random.Random, own: list[str], share: float) -> str:
    return " ".join(rng.choice(own if rng.random() < share else BOTH) for _ in range(80))


def texts(own: list[str], count: int, share: float, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [text(rng, own, share) for _ in range(count)]


def made(folder: Path, count: int = 300, share: float = 0.3, **rules: Any) -> Recipe:
    sources = []
    for name, own, seed in (("books", GOOD, 1), ("web", ORDINARY, 2)):
        lines = [json.dumps({"text": one}) for one in texts(own, count, share, seed)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        sources.append({"name": name, "paths": [str(folder / f"{name}.jsonl")], "format": "jsonl"})
    asked = {"good": ["books"], "ordinary": ["web"]} | rules
    table = {
        "name": "run",
        "sources": [source | {"licence": "CC0-1.0", "language": "en"} for source in sources],
        "runner": {"kind": "inline"},
        "curate": {"classifier": asked, "quality": LOOSE},
        "mix": {"target": {"books": 1.0}},
    }
    return recipe.from_table(table, "test")


def prepared(asked: Recipe, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    classifier.prepare(asked, folder)
    report: dict[str, Any] = json.loads((folder / classifier.REPORT).read_text(encoding="utf-8"))
    return report


def test_separable_text_is_told_apart_and_scores_can_be_believed(tmp_path: Path) -> None:
    report = prepared(made(tmp_path), tmp_path / "out")
    assert report["auc"] > 0.99 and report["interval"][0] <= report["auc"] <= report["interval"][1]
    assert report["median_score"]["good"] > 0.8 and report["median_score"]["ordinary"] < 0.2
    assert report["held_out"]["good"] + report["held_out"]["ordinary"] < 200


def test_text_without_a_difference_is_not_told_apart(tmp_path: Path) -> None:
    report = prepared(made(tmp_path, share=0.0), tmp_path / "out")
    assert report["interval"][0] < 0.5 < report["interval"][1] and 0.3 < report["auc"] < 0.7


def test_training_again_gives_the_same_weights(tmp_path: Path) -> None:
    asked = made(tmp_path)
    reports = [prepared(asked, tmp_path / name) for name in ("one", "two")]
    assert reports[0] == reports[1]
    models = [linear.load(tmp_path / name / classifier.MODEL) for name in ("one", "two")]
    np.testing.assert_array_equal(models[0].weight, models[1].weight)


def test_documents_get_scores_and_the_low_ones_go(tmp_path: Path) -> None:
    asked = made(tmp_path, min_score=0.5)
    prepared(asked, tmp_path / "out")
    unit = Unit(asked.source("web"), (), asked.curate, tmp_path, tmp_path / "out")
    score = classifier.step(unit)
    assert score is not None
    drafts = [Draft("x", one, NOTHING_SAID, False, "en") for one in texts(GOOD, 5, 0.5, 7) + texts(ORDINARY, 5, 0.5, 8)]
    drafts.append(Draft("code", "x = 1", NOTHING_SAID, True, "python"))
    score(drafts)
    assert all(draft.drop is None and (draft.quality or 0) > 0.5 for draft in drafts[:5])
    assert all(draft.drop is not None and draft.drop.reason == "low_quality" for draft in drafts[5:10])
    assert drafts[10].quality is None and drafts[10].drop is None


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"curate\.classifier\.good = books: 30 documents"):
        prepared(made(tmp_path, count=30), tmp_path / "out")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"good": ["boks"]}, "boks"),
        ({"ordinary": []}, "both kinds"),
        ({"ordinary": ["books"]}, "both good and ordinary"),
        ({"good": [], "ordinary": [], "min_score": 0.5}, "needs a classifier"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(tmp_path: Path, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        made(tmp_path, **rules)


def test_auc_counts_pairs() -> None:
    gold, scores = np.array([True, True, False, False]), np.array([0.9, 0.5, 0.5, 0.1])
    assert linear.auc(gold, scores) == (1 + 1 + 0.5 + 1) / 4


def test_a_long_document_is_scored_by_parts_of_it() -> None:
    long = b"a" * 50_000 + b"b" * 100_000 + b"c" * 50_000
    seen = classifier.excerpt(long)
    assert len(seen) <= classifier.MOST_BYTES + 2 and {*seen} >= {*b"abc"}
    assert classifier.excerpt(b"short") == b"short"


def test_the_stage_stores_scores_and_says_how_well_it_learnt(tmp_path: Path) -> None:
    asked = made(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    stage.run(asked, {}, out)
    report = json.loads((out / "stats.json").read_text(encoding="utf-8"))["classifier"]
    assert report["auc"] > 0.99
    medians = [np.median(pq.read_table(path_of(out, name)).column("quality")) for name in ("books", "web")]
    assert medians[0] > 0.8 and medians[1] < 0.2
