"""Training that was interrupted, however badly, ends bit for bit where uninterrupted training ends."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from orfevre import recipe
from orfevre.engine import checkpoint, loop
from orfevre.engine.build import build
from orfevre.engine.checkpoint import Checkpoints
from orfevre.errors import UserError, WorkFolderError
from orfevre.model.transformer import Transformer

SHAPE = recipe.Model(hidden_size=16, num_layers=2, num_heads=2, num_kv_heads=1, ffn_size=16, num_experts=3)
TRAINING = recipe.Training(
    tokens=10 * 4 * 16,
    batch_sequences=4,
    sequence_length=16,
    document_mask=False,
    optim=recipe.Optim(learning_rate=0.01),
)


class Batches:
    """Counting modulo the vocabulary: something that can be learnt."""

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        return (np.random.default_rng(step).integers(40, size=(4, 1)) + np.arange(17)) % 40


class Killed(Exception):
    pass


def new_model() -> Transformer:
    return build(SHAPE, 40, seed=1)


def train(folder: Path, *, kill_after: int = 0, minutes: float = 1e-9) -> tuple[Transformer, list[loop.StepReport]]:
    """A checkpoint after every step, unless `minutes` says otherwise."""
    model, reports = new_model(), []

    def on_step(report: loop.StepReport) -> None:
        reports.append(report)
        if report.step == kill_after:
            raise Killed

    with contextlib.suppress(Killed):
        loop.train(model, Batches(), TRAINING, on_step=on_step, checkpoints=Checkpoints(folder, minutes, keep=2))
    return model, reports


def same(first: Transformer, second: Transformer) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def facts(reports: list[loop.StepReport]) -> list[dict[str, Any]]:
    return [{key: value for key, value in vars(report).items() if key != "seconds"} for report in reports]


@pytest.mark.parametrize("kill_after", [1, 4, 10])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, kill_after: int) -> None:
    whole, reports = train(tmp_path / "whole")
    _, before = train(tmp_path / "killed", kill_after=kill_after)
    resumed, after = train(tmp_path / "killed")
    assert same(whole, resumed)
    assert after[0].step == kill_after  # killed before that step's checkpoint
    assert facts(before[:-1] + after) == facts(reports)


@pytest.mark.parametrize("written", range(4))
def test_a_kill_between_the_files_of_a_checkpoint_loses_that_checkpoint_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    whole, _ = train(tmp_path / "whole")
    train(tmp_path / "killed", kill_after=5)
    saved, calls = checkpoint.save_file, iter(range(99))

    def save_file(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if next(calls) == written and written < 2:
            path.write_bytes(b"half")
            raise Killed
        saved(tensors, path)

    def dumps(table: object) -> str:
        raise Killed

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    if written == 2:
        monkeypatch.setattr(checkpoint.json, "dumps", dumps)
    if written == 3:
        monkeypatch.setattr(Path, "rename", lambda self, target: dumps(None))
    train(tmp_path / "killed")
    monkeypatch.undo()
    assert Checkpoints(tmp_path / "killed", 1, 2).newest_step() == 4
    resumed, _ = train(tmp_path / "killed")
    assert same(whole, resumed)


def test_a_checkpoint_that_was_being_deleted_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, kill_after=3)

    def rmtree(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            (path / checkpoint.MODEL).unlink()
            raise Killed

    monkeypatch.setattr(checkpoint.shutil, "rmtree", rmtree)
    with pytest.raises(Killed):
        checkpoint._remove(tmp_path / "step-1")
    monkeypatch.undo()
    assert Checkpoints(tmp_path, 1, 2).newest_step() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-2"]


def test_the_last_checkpoints_are_kept_and_the_last_step_is_one(tmp_path: Path) -> None:
    train(tmp_path / "every")
    assert sorted(path.name for path in (tmp_path / "every").iterdir()) == ["step-10", "step-9"]
    train(tmp_path / "seldom", minutes=1e9)
    assert [path.name for path in (tmp_path / "seldom").iterdir()] == ["step-10"]
    _, reports = train(tmp_path / "seldom")
    assert reports == []  # nothing left to do


def test_finished_training_reports_the_same_result_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1e9, 1)
    first = loop.train(new_model(), Batches(), TRAINING, checkpoints=checkpoints)
    assert loop.train(new_model(), Batches(), TRAINING, checkpoints=checkpoints) == first


@pytest.mark.parametrize("name", [checkpoint.MODEL, checkpoint.OPTIMISER, checkpoint.STATE])
@pytest.mark.parametrize("damage", ["truncated", "empty", "absent"])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    train(tmp_path, kill_after=3)
    path = tmp_path / "step-2" / name
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: -9 if damage == "truncated" else 0])
    with pytest.raises(WorkFolderError, match=name):
        train(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("norm.weight"), "norm.weight is missing"),
        (lambda tensors: tensors.update(strange=torch.zeros(2)), "strange is not of this model"),
        (lambda tensors: tensors.update({"norm.weight": torch.zeros(17)}), r"norm.weight is \[17\]"),
    ],
)
def test_tensors_that_are_missing_extra_or_misshapen_are_named(tmp_path: Path, change: Any, message: str) -> None:
    from safetensors.torch import load_file, save_file

    train(tmp_path, kill_after=3)
    path = tmp_path / "step-2" / checkpoint.MODEL
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    with pytest.raises(WorkFolderError, match=message):
        train(tmp_path)


def test_a_state_that_is_not_a_state_is_refused(tmp_path: Path) -> None:
    train(tmp_path, kill_after=3)
    (tmp_path / "step-2" / checkpoint.STATE).write_text(json.dumps({"step": "many"}))
    with pytest.raises(WorkFolderError, match=r"state\.json"):
        train(tmp_path)


def test_a_loss_that_is_not_finite_stops_with_step_and_remedy() -> None:
    model = new_model()

    def poison(report: loop.StepReport) -> None:
        if report.step == 2:
            with torch.no_grad():
                model.norm.weight[0] = float("nan")

    with pytest.raises(UserError, match=r"step 3 of 10.*learning_rate"):
        loop.train(model, Batches(), TRAINING, on_step=poison)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_training_learns(dtype: str) -> None:
    training = recipe.Train(**(TRAINING.model_dump() | {"tokens": 60 * 64, "dtype": dtype}))
    model, reports = new_model(), []
    result = loop.train(model, Batches(), training, on_step=reports.append)
    assert reports[0].loss == pytest.approx(np.log(40), abs=0.05)
    assert result.final_loss < 0.8 * reports[0].loss
    assert result.tokens == reports[-1].tokens == training.tokens
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_clipping_bounds_the_update_not_the_reported_norm() -> None:
    norms = []
    for clip in (0.0, 1e-3):
        section = TRAINING.optim.model_copy(update={"grad_clip": clip})
        reports: list[loop.StepReport] = []
        loop.train(new_model(), Batches(), TRAINING.model_copy(update={"optim": section}), on_step=reports.append)
        norms.append(reports[0].grad_norm)
    assert norms[0] == norms[1] > 1e-3


def test_a_checkpoint_of_other_data_is_refused_by_name(tmp_path: Path) -> None:
    checkpoints = [Checkpoints(tmp_path, 1e-9, keep=2, data=digest) for digest in ("one", "two")]
    with contextlib.suppress(Killed):
        loop.train(new_model(), Batches(), TRAINING, on_step=kill_at_third, checkpoints=checkpoints[0])
    assert json.loads((tmp_path / "step-2/state.json").read_text())["data"] == "one"
    with pytest.raises(WorkFolderError, match=r"step-2/state\.json: trained on other data \(digest one, now two\)"):
        loop.train(new_model(), Batches(), TRAINING, checkpoints=checkpoints[1])
    assert loop.train(new_model(), Batches(), TRAINING, checkpoints=checkpoints[0]).steps == 10


def kill_at_third(report: loop.StepReport) -> None:
    if report.step == 3:
        raise Killed
