"""The atelier's recipe on the texts it is meant for, where they are."""

import json
from pathlib import Path

import pytest
from tests.e2e.small import orfevre
from tests.places import ROOT

RECIPE = ROOT / "recipes" / "atelier.toml"
TEXTS = ROOT.parent / "shared" / "data" / "text"
here = pytest.mark.skipif(not TEXTS.is_dir(), reason="the development texts are not on this machine")


@here
def test_the_recipe_finds_its_sixteen_sources() -> None:
    done = orfevre("check", RECIPE, "--set", f"data={TEXTS}")
    assert done.returncode == 0, done.stderr
    assert all(f"{name} " in done.stdout for name in ("books_fr", "law_fr", "code_rust", "instructions_en"))


def test_without_a_folder_of_texts_it_says_what_to_give(tmp_path: Path) -> None:
    done = orfevre("check", RECIPE, "--set", f"data={tmp_path}")
    assert done.returncode == 2
    assert "sources.books_fr.paths[0]" in done.stderr
    assert "Traceback" not in done.stderr


@here
@pytest.mark.slow
def test_the_whole_stage_at_a_tenth_of_its_size(tmp_path: Path) -> None:
    given = ["--set", f"data={TEXTS}", "--set", f"work={tmp_path}", "--set", "mix.num_proxies=16"]
    given += ["--set", "mix.validation_tokens=1024"]  # measuring would take longer than training
    recipe = tmp_path / "atelier.toml"
    recipe.write_text(RECIPE.read_text(encoding="utf-8").replace("393_216", "32_768").replace("786_432", "32_768"))
    assert recipe.read_text(encoding="utf-8").count("tokens = 32_768") == 3
    for verb in ("curate", "tokenize", "mix"):
        done = orfevre(verb, recipe, *given)
        assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "atelier" / "mix" / "mixture.json").read_text(encoding="utf-8"))
    assert set(table["verdict"]["against"]) == {"natural", "uniform", "handmade"}
    assert table["groups"]["share_alike"]["weight"] <= 0.3 + 1e-9
    assert max(table["epochs"].values()) <= 4 + 1e-6
    assert 3 < table["scales"]["check"]["parameters"] / table["scales"]["proxies"]["parameters"] < 5
