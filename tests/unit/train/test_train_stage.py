"""The train stage writes what the contract says, and after a kill every step stands in the metrics exactly once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orfevre import metrics, recipe
from orfevre.data import shards
from orfevre.engine import checkpoint, loop
from orfevre.errors import InputError
from orfevre.train import stage


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "usable_cores", lambda: 1)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """Two sources of 60 short documents each, and a mixture of them."""
    random, sizes = np.random.default_rng(0), {}
    for source in ("prose", "code"):
        made = {}
        for split, documents in (("train", 50), ("validation", 10)):
            with shards.ShardWriter(tmp_path / "tokenize" / "shards" / source, split, "uint16") as writer:
                for number in range(documents):
                    writer.add(f"{number:016x}", [0, *random.integers(3, 30, size=25).tolist(), 1], 60)
            made[split] = writer.sizes
        sizes[source] = shards.SourceIndex(**made)
    index = shards.Index(vocab_size=30, dtype="uint16", bos=0, eos=1, pad=2, sources=sizes)
    shards.write_index(tmp_path / "tokenize", index)
    (tmp_path / "mix").mkdir()
    (tmp_path / "mix" / "mixture.json").write_text(json.dumps({"weights": {"prose": 0.75, "code": 0.25}}))
    return {"tokenize": tmp_path / "tokenize", "mix": tmp_path / "mix"}


@pytest.fixture
def tiny(table: dict[str, Any]) -> recipe.Recipe:
    table["model"] = {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "num_kv_heads": 1,
        "ffn_size": 16,
        "num_experts": 3,
        "context_length": 32,
    }
    table["train"] = {
        "tokens": 8 * 4 * 16,
        "batch_sequences": 4,
        "sequence_length": 16,
        "validate_every_steps": 3,
        "checkpoint_minutes": 1e-9,
    }
    return recipe.from_table(table, "tiny.toml")


def test_it_writes_what_the_contract_says(tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    tally = stage.run(tiny, inputs, out)
    assert tally.counts == {"tokens": 512, "steps": 8}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["checkpoint"] == "checkpoints/step-8"
    assert summary["tokens_by_source"] == {"prose": 384, "code": 128}
    assert summary["epochs"].keys() == {"prose", "code"}
    assert tally.flops > summary["flops"] > 0  # validation counts too
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 30

    rows = metrics.read(out / "metrics.jsonl")
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 9))
    assert steps[-1]["loss"] == summary["final_loss"]
    assert set(steps[0]) == {
        "step", "tokens", "loss", "aux_loss", "z_loss", "mtp_loss", "grad_norm", "learning_rate",
        "tokens_per_second", "gflops_per_second", "seconds",
    }  # fmt: skip
    validations = [row for row in rows if "validation" in row]
    assert [row["step"] for row in validations] == [3, 6, 8]
    assert validations[0]["validation"].keys() == {"prose", "code"}

    model = checkpoint.load_trained(out)
    assert not model.training and model.vocab_size == 30


def test_after_a_kill_it_ends_where_it_would_have_ended(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    tally = stage.run(tiny, inputs, whole)
    save = checkpoint.save

    def dies_at_step_6(target: Path, *rest: Any) -> None:
        if target.name == "step-6":
            raise Killed
        save(target, *rest)

    monkeypatch.setattr(checkpoint, "save", dies_at_step_6)
    with pytest.raises(Killed):
        stage.run(tiny, inputs, killed)
    monkeypatch.undo()
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "los')  # torn by the kill
    assert stage.run(tiny, inputs, killed) == tally

    def facts(folder: Path) -> list[dict[str, Any]]:
        timed = ("seconds", "tokens_per_second", "gflops_per_second")
        rows = metrics.read(folder / "metrics.jsonl")
        return [{key: value for key, value in row.items() if key not in timed} for row in rows]

    assert facts(killed) == facts(whole)
    assert (killed / "summary.json").read_text() == (whole / "summary.json").read_text()
    first, second = (checkpoint.load_trained(folder) for folder in (whole, killed))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_mixture_of_unknown_sources_or_none_is_refused(
    tiny: recipe.Recipe, inputs: dict[str, Path], tmp_path: Path
) -> None:
    path = inputs["mix"] / "mixture.json"
    path.write_text(json.dumps({"weights": {"verse": 1.0}}))
    with pytest.raises(InputError, match="verse"):
        stage.run(tiny, inputs, tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"mixture\.json"):
        stage.run(tiny, inputs, tmp_path)


def test_the_loop_takes_the_real_loader(tiny: recipe.Recipe, inputs: dict[str, Path]) -> None:
    from orfevre.data.loader import Loader
    from orfevre.engine.build import build

    read = {name: shards.open_shard(inputs["tokenize"], name, "train") for name in ("prose", "code")}
    loader = Loader(read, {"prose": 0.5, "code": 0.5}, tiny.train, seed=1)
    result = loop.train(build(tiny.model, 30, 1), loader, tiny.train, bos=0)
    assert result.steps == 8
