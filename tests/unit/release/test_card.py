"""The card: its front matter parses, its tables hold, foreign text stays in its place, silence is called silence."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orfevre.plan import stage as plan_stage
from orfevre.recipe import Recipe
from orfevre.release import card, facts, markdown


@pytest.fixture
def known(recipe: Recipe, inputs: dict[str, Path]) -> facts.Facts:
    return facts.gather(recipe, inputs)


def test_front_matter_is_yaml_with_licence_language_and_results(known: facts.Facts):
    matter = yaml.safe_load(card.render(known).split("---\n")[1])
    assert matter["license"] == "apache-2.0"
    assert matter["language"] == ["en"]
    assert matter["datasets"] == ["books", "code"]
    assert "python" in matter["tags"]
    result = matter["model-index"][0]["results"][0]
    assert result["metrics"][0]["value"] == 2.5


def test_a_licence_the_hub_does_not_know_is_other(recipe: Recipe, inputs: dict[str, Path]):
    release = recipe.release.model_copy(update={"licence": 'Our: own "terms"'})
    text = card.render(facts.gather(recipe.model_copy(update={"release": release}), inputs))
    matter = yaml.safe_load(text.split("---\n")[1])
    assert (matter["license"], matter["license_name"]) == ("other", 'Our: own "terms"')


def test_every_table_row_has_as_many_cells_as_its_head(known: facts.Facts):
    lines = re.sub(r"^(`{3,})text\n.*?^\1$", "", card.render(known), flags=re.M | re.S).splitlines()
    head, rows = 0, 0
    for line in lines:
        if not line.startswith("|"):
            head = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        head, rows = head or cells, rows + 1
        assert cells == head, line
    assert rows > 30


def test_what_the_recipe_does_not_say_is_called_not_stated(known: facts.Facts):
    text = card.render(known)
    assert "**Intended use**: not stated" in text
    assert "**Contact**: not stated" in text
    assert "**Provider**: A \\| B SAS" in text


def test_the_ledger_is_in_the_card(known: facts.Facts):
    text = card.render(known)
    assert f"{known.parameters.total:,} parameters" in text
    assert "The chosen mixture wins \\| by much." in text
    assert "The natural mixture never gets there." in text
    assert "| **in all** | 3.5 minutes |" in text  # 10 + 20 + ... + 60 seconds
    assert "estimate: machine.watts = 65 x wall time" in text
    assert "| books | 15 | 12 | 1 | 2 |" in text  # near_duplicate, too_short
    assert "MIT \\| own: code" in text
    assert "2.1e+13 FLOP, proxies" in text and "| 1.0e+12 FLOP; below 1e23" in text


def test_samples_cannot_leave_their_block(known: facts.Facts):
    text = card.render(known)
    block = re.search(r"^(`{3,})text\n(.*?)^\1$", text, flags=re.M | re.S)
    assert block is not None and block[1] == "`````"
    assert block[2].startswith("The cat") and block[2].endswith("sat\n")


def test_a_mixture_made_by_hand_and_every_size_are_in_the_card(recipe: Recipe, inputs: dict[str, Path]):
    path = inputs["mix"] / "mixture.json"
    table = json.loads(path.read_text())
    rung = {"parameters": 400_000, "tokens": 4_000_000, "runs": 6}
    table["scales"] |= {"ladder": [rung], "predicted": 0}
    path.write_text(json.dumps(table))
    text = card.render(facts.gather(recipe, inputs)).replace("\u202f", " ")
    assert re.search(r"\| by_hand \| 2\.5\d* \|", text)  # its measured loss
    assert re.search(r"\| books \|.*\| 90(\.0+)? ?% \|$", text, flags=re.M)  # its share
    assert "6 runs of 400" in text and "another size than the check runs'" in text


def test_a_mixture_without_a_natural_measurement_still_makes_a_card(
    recipe: Recipe, inputs: dict[str, Path], change: Callable[[Path, Callable[[dict], None]], None]
):
    change(inputs["mix"] / "mixture.json", lambda table: table["measured"]["natural"].update(interval=[None, None]))
    assert "unknown to unknown" in card.render(facts.gather(recipe, inputs))


def test_the_price_of_the_wrong_mix_is_the_bills(
    recipe: Recipe, inputs: dict[str, Path], change: Callable[[Path, Callable[[dict], None]], None]
):
    assert "times the compute" not in card.render(facts.gather(recipe, inputs))  # no ratio could be had
    known = {"compute_ratio": 1.5, "interval": [1.2, None]}
    change(inputs["mix"] / "mixture.json", lambda table: table["price"].update(known))
    plan_stage.run(recipe, inputs, inputs["plan"])
    assert "would take 1.5 times the compute (1.2 to unknown)" in card.render(facts.gather(recipe, inputs))


def test_evaluation_sets_are_in_the_card(recipe: Recipe, inputs: dict[str, Path]):
    assert "the recipe names none" in card.render(facts.gather(recipe, inputs))
    quiz = {"items": 120, "not_checked": 3, "dirty": 7, "documents_dropped": 5, "partly_in_documents": 9}
    table = {"ngram": 13, "min_overlap": 0.3, "tasks": {"quiz": quiz}}
    (inputs["curate"] / "contamination.json").write_text(json.dumps(table), encoding="utf-8")
    known = facts.gather(recipe, inputs)
    assert "| quiz | 120 | 3 | 7 | 5 | 9 |" in card.render(known)
    test_every_table_row_has_as_many_cells_as_its_head(known)


def test_what_was_broken_is_counted_with_what_was_dropped(recipe: Recipe, inputs: dict[str, Path]):
    path = inputs["curate"] / "stats.json"
    stats = json.loads(path.read_text())
    stats["sources"]["books"]["broken"] = {"unreadable": 3, "too_long": 1}
    stats["sources"]["books"]["dropped"] = {"too_long": 2}
    path.write_text(json.dumps(stats))
    books = {row.name: row for row in facts.gather(recipe, inputs).curated}["books"]
    assert books.dropped == {"unreadable": 3, "too_long": 3}


def test_licence_note_names_every_licence(known: facts.Facts):
    note = card.licence_note(known)
    assert "Apache-2.0" in note and "CC0-1.0: books" in note and "MIT | own: code" in note


@given(st.text())
def test_escaped_text_is_one_line_and_opens_nothing(words: str):
    escaped = markdown.text(words)
    assert len(escaped.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[|<>*\[\]`]", escaped.replace("\\\\", ""))
    assert re.sub(r"\\([\\|<>*\[\]`])", r"\1", escaped) == " ".join(words.split())


@given(st.text(alphabet="`ab\n"))
def test_a_fence_is_longer_than_any_run_inside(words: str):
    fence = markdown.fenced(words).split("text\n")[0]
    assert fence not in words


@given(st.floats(1e-6, 1e30))
def test_figures_keep_three_digits(amount: float):
    assert float(markdown.figure(amount).replace(",", "")) == pytest.approx(amount, rel=6e-3)
