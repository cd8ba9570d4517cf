"""A recipe says what it must, or the message names the key, the value and the remedy."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.places import ROOT

from orfevre import recipe
from orfevre.errors import RecipeError
from orfevre.recipe.load import _value

TOML = """
name = "tiny"
[[sources]]
name = "prose"
paths = ["a.txt"]
format = "text"
licence = "CC0-1.0"
language = "en"
[mix]
target = { prose = 1.0 }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text(TOML, encoding="utf-8")
    return file


def refused(table: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe.from_table(table, "tiny.toml")
    return str(caught.value)


def test_overrides_change_one_key(path: Path) -> None:
    loaded = recipe.load(path, ["train.tokens=2_000_000", "sources.prose.max_epochs=2", "name=other", "seed=7"])
    assert (loaded.train.tokens, loaded.source("prose").max_epochs, loaded.name, loaded.seed) == (
        2_000_000,
        2.0,
        "other",
        7,
    )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.tokens", "key.path=value"),
        ("sources.verse.max_epochs=2", "no entry is named 'verse'"),
        ("name.first=2", "not a table"),
        ("train.tokens=many", "train.tokens"),
        ("train.tokns=5", "did you mean 'tokens'"),
    ],
)
def test_bad_overrides_are_named(path: Path, override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe.load(path, [override])


def test_missing_file_and_broken_toml(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        recipe.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ", encoding="utf-8")
    with pytest.raises(RecipeError, match="not valid TOML"):
        recipe.load(broken)
    with pytest.raises(RecipeError, match="cannot be read"):
        recipe.load(tmp_path)


def test_unknown_key_names_full_path_and_nearest(table: dict[str, Any]) -> None:
    table["train"] = {"optim": {"learning_rat": 1e-3}}
    assert "train.optim.learning_rat: no such key; did you mean 'learning_rate'?" in refused(table)


def test_unknown_key_in_a_source_names_the_source(table: dict[str, Any]) -> None:
    table["sources"][1]["pathz"] = []
    message = refused(table)
    assert "sources[1] (code).pathz: no such key; did you mean 'paths'?" in message


def test_every_mistake_is_listed_at_once(table: dict[str, Any]) -> None:
    table["sources"][0].pop("licence")
    table["seed"] = -1
    message = refused(table)
    assert "sources[0] (prose).licence: this key is required" in message
    assert "seed = -1" in message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("mix", "target"), {"prose": 0.7, "code": 0.2}, "sum to 0.9"),
        (("mix", "target"), {"prose": 0.7, "verse": 0.3}, "mix.target.verse is not a source"),
        (("mix", "min_weights"), {"prose": 0.8, "code": 0.4}, "more than 1"),
        (("mix", "training"), {"sequence_length": 4096}, "context_length"),
        (("model", "num_heads"), 7, "does not divide"),
        (("model", "experts_per_token"), 9, "exceeds num_experts"),
        (("model", "mtp_depth"), 300, "train.sequence_length 256 leaves nothing for the model's mtp_depth 300"),
        (("train", "tokens"), 10, "less than one step"),
        (("curate", "dedup"), {"jaccard": 0.4}, "must not exceed jaccard"),
    ],
)
def test_values_that_cannot_be_are_refused(
    table: dict[str, Any], path: tuple[str, str], value: Any, words: str
) -> None:
    table.setdefault(path[0], {})[path[1]] = value
    assert words in refused(table)


def test_two_sources_of_one_name(table: dict[str, Any]) -> None:
    table["sources"][1]["name"] = "prose"
    assert "two sources are named 'prose'" in refused(table)


def test_resolved_recipe_round_trips(table: dict[str, Any], tmp_path: Path) -> None:
    made = recipe.from_table(table, "tiny.toml")
    stored = tmp_path / "recipe.json"
    stored.write_text(json.dumps(made.model_dump(mode="json")), encoding="utf-8")
    assert recipe.from_json(stored) == made


@given(st.one_of(st.integers(-(10**6), 10**6), st.booleans()))
def test_override_values_are_toml(value: int | bool) -> None:
    assert _value(str(value).lower()) == value


def test_schema_explains_every_key() -> None:
    schema = recipe.Recipe.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    bare = [
        f"{section.get('title')}.{name}"
        for section in sections
        for name, field in section["properties"].items()
        if "description" not in field and section.get("title") in ("Recipe", "Source", "Train", "Mix", "Curate", "Farm")
    ]
    assert not bare


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert recipe.load(path).name == path.stem


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ([{"until": 0.5}], "phases end at 0.5"),
        ([{"until": 0.5}, {"until": 0.4}, {"until": 1.0}], "make them rise to 1.0"),
        ([{"until": 1.0, "weights": {"prose": 0.7}}], "the weights sum to 0.7"),
        ([{"until": 1.0, "weights": {"verse": 1.0}}], "train.phases: verse is not a source"),
        ([{"until": 1.0, "weights": "natural"}], "train.phases[0].weights"),
        ([{"until": 0.0}, {"until": 1.0}], "train.phases[0].until"),
    ],
)
def test_phases_that_do_not_fill_the_run_are_refused(
    table: dict[str, Any], phases: list[dict[str, Any]], words: str
) -> None:
    table["train"] = table.get("train", {}) | {"phases": phases}
    assert words in refused(table)
