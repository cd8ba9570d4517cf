"""Options that reach beyond the gradient: the balancing bias is state, and documents are told apart in batches."""

import contextlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from orfevre import recipe
from orfevre.engine import checkpoint, loop
from orfevre.engine.build import build
from orfevre.engine.checkpoint import Checkpoints
from orfevre.engine.documents import split_documents
from orfevre.errors import WorkFolderError
from orfevre.model.moe import MixtureOfExperts
from orfevre.model.transformer import Transformer

BOS = 0
SHAPE = recipe.Model(
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    ffn_size=8,
    num_experts=4,
    shared_experts=1,
    router="sigmoid",
    balancing="bias",
    bias_update_rate=0.01,
    qk_norm=True,
    sliding_window=6,
    mtp_depth=1,
)
TRAINING = recipe.Training(
    tokens=8 * 4 * 16,
    batch_sequences=4,
    sequence_length=16,
    document_mask=True,
    optim=recipe.Optim(learning_rate=0.01),
)


class Batches:
    """Documents of five tokens that count upwards from somewhere, each behind `<s>`."""

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        starts = np.random.default_rng(step).integers(1, 30, size=(4, 3))
        documents = np.concatenate([np.zeros((4, 3, 1), np.int64), starts[:, :, None] + np.arange(5)], axis=2)
        return np.asarray(documents.reshape(4, 18)[:, :17])


class Killed(Exception):
    pass


def train(folder: Path, kill_after: int = 0) -> tuple[Transformer, list[loop.StepReport]]:
    model, reports = build(SHAPE, 40, seed=1), []

    def on_step(report: loop.StepReport) -> None:
        reports.append(report)
        if report.step == kill_after:
            raise Killed

    with contextlib.suppress(Killed):
        loop.train(model, Batches(), TRAINING, on_step=on_step, checkpoints=Checkpoints(folder, 1e-9, 2), bos=BOS)
    return model, reports


def biases(model: Transformer) -> list[torch.Tensor]:
    return [module.balance_bias for module in model.modules() if isinstance(module, MixtureOfExperts)]


def test_resumed_equals_uninterrupted_bit_for_bit_with_every_option(tmp_path: Path) -> None:
    whole, reports = train(tmp_path / "whole")
    train(tmp_path / "killed", kill_after=5)
    resumed, after = train(tmp_path / "killed")
    assert after[0].step == 5
    assert [report.loss for report in after] == [report.loss for report in reports[4:]]
    state, other = whole.state_dict(), resumed.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in state.items())
    assert len(biases(whole)) == 3
    assert all(bias.abs().max() >= 0.01 for bias in biases(whole))  # there was something to restore


def test_a_step_moves_the_biases_by_the_sign_of_what_its_batch_lacked() -> None:
    model, training = build(SHAPE, 40, seed=1), TRAINING.model_copy(update={"tokens": 64})
    with torch.no_grad():
        batch = split_documents(torch.from_numpy(Batches().batch(0)), BOS)
        counts = model.losses(*batch).expert_counts.float()
    loop.train(model, Batches(), training, bos=BOS)
    expected = 0.01 * (counts.mean(1, keepdim=True) - counts).sign()
    torch.testing.assert_close(torch.stack(biases(model)), expected)


def test_a_trained_model_is_read_back_with_its_biases_and_refused_without(tmp_path: Path) -> None:
    model, _ = train(tmp_path / "checkpoints")
    (tmp_path / "config.json").write_text(json.dumps(model.config.model_dump() | {"vocab_size": 40}))
    (tmp_path / "summary.json").write_text(json.dumps({"checkpoint": "checkpoints/step-8"}))
    read = checkpoint.load_trained(tmp_path)
    ids = torch.arange(12).view(1, 12)
    with torch.no_grad():
        assert torch.equal(read(ids), model(ids))
    path = tmp_path / "checkpoints" / "step-8" / checkpoint.MODEL
    save_file({name: tensor for name, tensor in load_file(path).items() if "balance_bias" not in name}, path)
    with pytest.raises(WorkFolderError, match=r"blocks\.0\.moe\.balance_bias is missing"):
        checkpoint.load_trained(tmp_path)


def test_a_checkpoint_of_the_plain_model_holds_its_parameters_and_nothing_else(tmp_path: Path) -> None:
    """What was written before the options existed is what is written without them, and is read."""
    shape = recipe.Model(hidden_size=16, num_layers=2, num_heads=2, num_kv_heads=1, ffn_size=8, num_experts=3)
    model = build(shape, 40, seed=1)
    loop.train(model, Batches(), TRAINING, checkpoints=Checkpoints(tmp_path, 1e9, 1), bos=BOS)
    written = load_file(tmp_path / "step-8" / checkpoint.MODEL)
    assert written.keys() == dict(model.named_parameters()).keys()


def test_the_mask_is_heeded_and_asks_for_the_first_token() -> None:
    losses = []
    for masked in (False, True):
        training, reports = TRAINING.model_copy(update={"document_mask": masked}), list[loop.StepReport]()
        loop.train(build(SHAPE, 40, seed=1), Batches(), training, on_step=reports.append, bos=BOS)
        losses.append(reports[0].loss)
    model = build(SHAPE, 40, seed=1)
    batch = torch.from_numpy(Batches().batch(0))
    assert losses[1] == pytest.approx(float(model.losses(*split_documents(batch, BOS)).cross_entropy))
    assert losses[0] == pytest.approx(float(model.losses(batch[:, :-1], batch[:, 1:]).cross_entropy))
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
    with pytest.raises(ValueError, match="bos"):
        loop.train(model, Batches(), TRAINING)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [False, True])
def test_every_option_learns_and_keeps_float32_state(dtype: str, tied: bool) -> None:
    rules = TRAINING.model_dump() | {"dtype": dtype, "tokens": 60 * 64}
    model, reports = build(SHAPE.model_copy(update={"tie_embeddings": tied}), 40, seed=1), list[loop.StepReport]()
    loop.train(model, Batches(), recipe.Train(**rules), on_step=reports.append, bos=BOS)
    assert reports[0].loss == pytest.approx(np.log(40), abs=0.1)
    assert reports[-1].loss < 0.8 * reports[0].loss
    assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())
    assert all(bias.abs().max() >= 0.01 for bias in biases(model))
