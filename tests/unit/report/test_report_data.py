"""The sections on data say what the artefacts hold: every document accounted for, texts escaped, differences marked."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orfevre.report import samples
from orfevre.report.blocks import Sides, Table
from orfevre.report.build import write
from orfevre.report.facts import Facts, gather
from orfevre.report.sections.data import contamination, drops, duplicates, sources, steps, texts, tokens

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_run.make(tmp_path_factory.mktemp("run"), documents=24)


@pytest.fixture(scope="module")
def facts(run: Path) -> Facts:
    return gather(run)


def tables(section: object) -> dict[str, Table]:
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}  # type: ignore[attr-defined]


def number(cell: str) -> int:
    return int(cell.replace("\u202f", ""))


def test_the_funnel_ends_with_what_was_kept(facts: Facts) -> None:
    assert facts.stats is not None
    funnel = tables(sources.sources(facts))["Documents left after each step"]
    for name, *cells in funnel.rows:
        left = [number(cell) for cell in cells]
        assert left[0] == facts.stats["sources"][name]["read"] and left[-1] == facts.stats["sources"][name]["kept"]
        assert left == sorted(left, reverse=True)
    assert [number(cell) for cell in funnel.total[1:]] == [
        sum(number(row[place]) for row in funnel.rows) for place in range(1, len(funnel.columns))
    ]


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("gopher_word_count", "quality rules"), ("too_short", "quality rules"), ("near_duplicate", "duplicates"),
        ("exact_duplicate", "duplicates"), ("forgotten", "forgetting"), ("contaminated", "contamination"),
        ("language", "language"), ("low_quality", "classifier"),
        ("opt_out", "opt-outs"), ("personal_data", "personal data"), ("duplicate_lines", "quality rules"),
        ("boilerplate", "duplicates"),
    ],
)  # fmt: skip
def test_every_reason_has_its_step(reason: str, step: str) -> None:
    assert steps.step_of(reason) == step and step in steps.STEPS


def test_counts_by_reason_add_up(facts: Facts) -> None:
    assert facts.stats is not None
    table = tables(drops.drops(facts))["Documents by reason"]
    gone = sum(own["read"] - own["kept"] for own in facts.stats["sources"].values())
    assert number(table.total[-1]) == gone == sum(number(row[-1]) for row in table.rows)


def test_samples_are_few_and_of_every_reason(facts: Facts) -> None:
    assert facts.stats is not None and facts.samples is not None
    occurred = {
        reason for own in facts.stats["sources"].values() for key in ("dropped", "broken") for reason in own[key]
    }
    shown = [drop.reason for drop in facts.samples.drops]
    assert set(shown) == occurred
    assert max(map(shown.count, shown)) <= samples.DROPS_PER_REASON


def test_texts_that_were_to_be_forgotten_are_not_shown() -> None:
    row = {"reason": "forgotten", "source": "a", "location": "b", "detail": "id x", "text": "a secret"}
    assert samples._drop(row).text == ""


def test_near_duplicates_stand_beside_what_stays(facts: Facts) -> None:
    assert facts.samples is not None
    shown = [block for block in duplicates.duplicates(facts).blocks if isinstance(block, Sides)]
    assert len(shown) == samples.PAIRS == len(facts.samples.pairs)
    for block, pair in zip(shown, facts.samples.pairs, strict=True):
        assert pair.dropped.text != pair.kept_text
        assert any("copy" in piece.text for piece in block.left if piece.changed)
        assert not any("copy" in piece.text for piece in block.right)


def test_marks_are_on_what_differs_and_nothing_else() -> None:
    left, right = duplicates.marked("one two three", "one 2 three")
    assert [(piece.text, piece.changed) for piece in left] == [("one ", False), ("two", True), (" three", False)]
    assert [(piece.text, piece.changed) for piece in right] == [("one ", False), ("2", True), (" three", False)]
    same = " ".join(map(str, range(100)))
    left, right = duplicates.marked(same, same)
    assert left == right and not any(piece.changed for piece in left)


def test_long_equal_stretches_are_left_out() -> None:
    middle = " ".join(f"w{number}" for number in range(90))
    left, _ = duplicates.marked(f"A {middle} B", f"X {middle} Y")
    text = "".join(piece.text for piece in left)
    assert "…" in text and len(text) < len(middle) and text.startswith("A w0") and text.endswith("w89 B")


def test_the_cut_of_a_long_text_is_no_difference() -> None:
    long = " ".join(f"w{number}" for number in range(1000))
    left, right = duplicates.marked(f"extra words here {long}", long)
    assert [piece.text for piece in left if piece.changed] == ["extra words here "]
    assert not any(piece.changed for piece in right)


def test_languages_and_licences_cover_every_kept_document(facts: Facts) -> None:
    assert facts.stats is not None
    kept = sum(own["kept"] for own in facts.stats["sources"].values())
    shown = tables(texts.texts(facts))
    assert sum(number(row[1]) for row in shown["Documents and bytes per language"].rows) == kept
    assert sum(number(row[2]) for row in shown["Documents per licence"].rows) == kept
    reserved = shown["Documents that were dropped because their owners reserved them"].rows
    opted_out = sum(own["dropped"].get("opt_out", 0) for own in facts.stats["sources"].values())
    assert [(rule, number(count)) for rule, count in reserved] == [("robots.txt", opted_out)]
    edits = shown["What was mended or masked in texts that were kept"]
    assert {row[0]: number(row[-1]) for row in edits.rows} == {"email": 0 + 1 + 2 + 3, "mojibake": 8}


def test_parts_of_coarse_sources_are_told_by_their_words(facts: Facts) -> None:
    caption = "Parts that coarse sources were split into"
    assert facts.stats is not None and caption not in tables(texts.texts(facts))
    parts = {"web_1": {"words": ["assay", "gold"], "documents": 12}, "web_2": {"words": ["rail"], "documents": 1200}}
    shown = tables(texts.texts(replace(facts, stats=facts.stats | {"domains": parts})))[caption]
    assert shown.rows == [("web_1", "assay, gold", "12"), ("web_2", "rail", "1\u202f200")]


def test_contamination_is_shown_both_ways(facts: Facts) -> None:
    shown = tables(contamination.contamination(facts))
    rows = {row[0]: row[1:] for row in shown["Items of each evaluation set"].rows}
    assert rows["quiz"][:5] == ("120", "3", "17", "17", "9") and rows["clean"][-1] == "—"
    items = next(table for caption, table in shown.items() if caption.startswith("Items that"))
    assert len(items.rows) == contamination.MOST and "5 more" in items.caption


def test_without_tasks_that_is_said(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / run.name
    shutil.copytree(run / "curate", folder / "curate")
    (folder / "curate" / "contamination.json").unlink()
    assert "names no evaluation sets" in write(folder).read_text(encoding="utf-8")


def test_epochs_are_of_the_mixtures_over_the_target_run(run: Path, facts: Facts) -> None:
    caption, table = next(
        (caption, table) for caption, table in tables(tokens.tokens(facts)).items() if caption.startswith("Epochs")
    )
    assert "3.00\u202fmillion" in caption
    mixture = json.loads((run / "mix" / "mixture.json").read_text())
    index = json.loads((run / "tokenize" / "index.json").read_text())["sources"]
    in_all = sum(own["train"]["tokens"] for own in index.values())
    for name, train, most, _, _, natural, _, chosen in table.rows:
        own = index[name]["train"]["tokens"]
        assert number(train) == own and float(most) == 4.0
        assert natural.endswith("*")
        assert float(natural.replace("\u202f", "").rstrip("*")) == pytest.approx(3e6 / in_all, rel=0.1)
        expected = mixture["weights"][name] * 3e6 / own
        assert float(chosen.replace("\u202f", "").rstrip("*")) == pytest.approx(expected, rel=0.1)


def test_fertility_is_tokens_of_words(facts: Facts) -> None:
    caption = "Fertility: how many tokens the text of each language takes"
    rows = tables(tokens.tokens(facts))[caption].rows
    assert len(rows) == 4
    for _, _, documents, _, per_word, per_character, bytes_per_token in rows:
        assert number(documents) > 0
        assert float(per_word) * float(per_character) * float(bytes_per_token) > 0
        assert float(per_character) == pytest.approx(1 / float(bytes_per_token), rel=0.05)  # the texts are ASCII


def test_what_texts_say_is_escaped(run: Path) -> None:
    page = write(run).read_text(encoding="utf-8")
    assert "a drop is text" in page and "<script" not in page
