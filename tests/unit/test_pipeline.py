"""What is stale is redone, in order, with the reason; what is fresh is left alone. Stages are fakes that copy text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orfevre import ledger, pipeline, recipe
from orfevre.errors import InputError, WorkFolderError
from orfevre.recipe import Recipe


class Fake:
    """Writes what it read, and remembers that it ran."""

    def __init__(self, name: str, ran: list[str]) -> None:
        self.name, self.ran = name, ran
        self.fails = False

    def run(self, asked: Recipe, inputs: Mapping[str, Path], out: Path) -> ledger.Tally:
        self.ran.append(self.name)
        if self.fails:
            raise InputError("no such text")
        read = "".join((folder / "out.txt").read_text(encoding="utf-8") for folder in inputs.values())
        own = {"curate": asked.curate.validation_fraction, "tokenize": asked.tokenize.vocab_size}.get(self.name, "")
        (out / "out.txt").write_text(f"{self.name}{own}({read})", encoding="utf-8")
        return ledger.Tally(counts={"files": 1}, flops=2.0)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    doors = {stage.name: Fake(stage.name, names) for stage in pipeline.STAGES}
    monkeypatch.setattr(pipeline, "_door", lambda stage: doors[stage.name])
    return names


ALL = [stage.name for stage in pipeline.STAGES]


def changed(table: dict[str, Any], **sections: Any) -> Recipe:
    return recipe.from_table(table | sections, "tiny.toml")


def test_everything_once_then_nothing(small_recipe: Recipe, ran: list[str]) -> None:
    pipeline.run(small_recipe)
    assert ran == ALL
    pipeline.run(small_recipe)
    assert ran == ALL
    assert all(state.fresh for state in pipeline.status(small_recipe))


def test_a_changed_key_redoes_what_depends_on_it(table: dict[str, Any], ran: list[str]) -> None:
    pipeline.run(changed(table))
    ran.clear()
    pipeline.run(changed(table, tokenize={"vocab_size": 400}))
    assert ran == ["tokenize", "mix", "plan", "train", "evaluate", "release"]


def test_equal_output_stops_the_chain(table: dict[str, Any], ran: list[str]) -> None:
    """curate ran again but made the same bytes, so what reads it is still fresh."""
    pipeline.run(changed(table))
    ran.clear()
    pipeline.run(changed(table), "curate")
    assert ran == ["curate"]


def test_only_the_licence_text_changed(table: dict[str, Any], ran: list[str]) -> None:
    pipeline.run(changed(table))
    table["sources"][0]["description"] = "another line for the card"
    ran.clear()
    pipeline.run(changed(table))
    assert ran == ["release"]


def test_a_touched_source_file_makes_curate_stale(table: dict[str, Any], ran: list[str], tmp_path: Path) -> None:
    pipeline.run(changed(table))
    (tmp_path / "prose.txt").write_text("some other prose", encoding="utf-8")
    assert "its input changed: source prose" in pipeline.status(changed(table))[0].why


def test_a_given_tokenizer_that_changed_makes_tokenize_stale(
    table: dict[str, Any], ran: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    table["tokenize"] = {"file": str(tmp_path / "tokenizer.json")}
    pipeline.run(changed(table))
    (tmp_path / "tokenizer.json").write_text("{ }", encoding="utf-8")
    assert "tokenize.file" in pipeline.status(changed(table))[1].why


def test_how_often_to_checkpoint_changes_no_model(table: dict[str, Any], ran: list[str]) -> None:
    pipeline.run(changed(table))
    states = {state.stage.name: state for state in pipeline.status(changed(table, train={"checkpoint_minutes": 3}))}
    assert states["train"].fresh


def test_reason_names_key_and_values(table: dict[str, Any], ran: list[str]) -> None:
    pipeline.run(changed(table))
    states = {state.stage.name: state for state in pipeline.status(changed(table, tokenize={"vocab_size": 400}))}
    assert states["tokenize"].why == "tokenize.vocab_size changed from 32000 to 400"
    assert states["curate"].fresh
    states = {state.stage.name: state for state in pipeline.status(changed(table, seed=5))}
    assert states["curate"].why == "seed changed from 1 to 5"


def test_one_stage_needs_its_inputs(small_recipe: Recipe, ran: list[str]) -> None:
    with pytest.raises(WorkFolderError, match="tokenize reads it"):
        pipeline.run_one(small_recipe, "tokenize")
    pipeline.run_one(small_recipe, "curate")
    pipeline.run_one(small_recipe, "tokenize")
    pipeline.run_one(small_recipe, "tokenize")
    assert ran == ["curate", "tokenize"]


def test_a_failed_stage_keeps_the_artefact_before(
    table: dict[str, Any], ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(changed(table))
    failing = Fake("tokenize", ran)
    failing.fails = True
    monkeypatch.setattr(pipeline, "_door", lambda stage: failing)
    with pytest.raises(InputError):
        pipeline.run(changed(table, tokenize={"vocab_size": 400}))
    assert pipeline.status(changed(table))[1].fresh


def test_an_interrupted_stage_continues_unless_the_recipe_changed(
    table: dict[str, Any], ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Fake("curate", ran)
    failing.fails = True
    monkeypatch.setattr(pipeline, "_door", lambda stage: failing)
    with pytest.raises(InputError):
        pipeline.run(changed(table))
    assert pipeline.status(changed(table))[0].why == "continues"
    assert pipeline.status(changed(table, seed=9))[0].why == "not made yet"


def test_manifest_records_what_it_took(small_recipe: Recipe, ran: list[str]) -> None:
    pipeline.run(small_recipe)
    manifest = pipeline.status(small_recipe)[1].manifest
    assert manifest is not None
    assert manifest.flops == 2.0 and manifest.attempts == 1 and manifest.counts == {"files": 1}
    assert set(manifest.outputs) == {"out.txt", "recipe.json"}
    assert manifest.energy_method and manifest.machine["cores"]


def test_stages_read_only_what_comes_before_them() -> None:
    seen: set[str] = set()
    for stage in pipeline.STAGES:
        assert set(stage.reads) <= seen
        seen.add(stage.name)
