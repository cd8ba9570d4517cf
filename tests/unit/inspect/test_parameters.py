"""The parameter table adds up, its norms are the tensors' norms, and what is dead or not finite is named."""

from pathlib import Path

import pytest
import torch
from tests.unit.inspect.conftest import SHAPE, save

from orfevre.engine.build import build
from orfevre.inspect import parameters
from orfevre.model import count
from orfevre.weights.opened import open_weights

OPTIONS = [
    {},
    {"tie_embeddings": True},
    {"shared_experts": 2, "qk_norm": True},
    {"router": "sigmoid", "balancing": "bias"},
    {"mtp_depth": 1},
    {"num_experts": 1, "experts_per_token": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options) or "mixtral")
def test_parts_add_up_to_what_the_formula_counts(tmp_path: Path, options: dict[str, object]) -> None:
    shape = SHAPE.model_copy(update=options)
    opened = open_weights(save(tmp_path / "m", build(shape, 50, seed=1), None))
    table = parameters.tabulate(opened, parameters.measure(opened))
    counted = count.parameters(shape, 50)
    parts = {row["part"]: row["parameters"] for row in table["parts"]}
    biases = shape.num_layers * shape.num_experts if shape.balancing == "bias" else 0
    assert sum(parts.values()) == counted.total + biases
    assert parts["experts"] + parts.get("shared experts", 0) == counted.experts
    assert parts["attention"] + parts["norms"] == counted.attention + counted.norms
    assert parts["embedding"] + parts.get("output", 0) == counted.embedding
    assert parts.get("mtp", 0) == counted.mtp
    assert (table["total"], table["active"]) == (counted.total, counted.active)
    assert table["bytes"] == 4 * sum(parts.values())
    assert sum(row["share"] for row in table["parts"]) == pytest.approx(1)
    assert parameters.findings(parameters.measure(opened)) == []


@pytest.mark.parametrize("chunk", [1, 100, 4_000_000])
def test_norms_are_those_of_the_tensors_however_they_are_read(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "CHUNK", chunk)
    made = build(SHAPE, 50, seed=1)
    opened = open_weights(save(tmp_path / "m", made, None))
    for measured in parameters.measure(opened):
        tensor = made.get_parameter(measured.name).detach()
        row = measured.table()
        assert row["norm"] == pytest.approx(float(tensor.norm()), rel=1e-5)
        assert row["largest"] == float(tensor.abs().max())
        assert row["parameters"] == tensor.numel()
        if tensor.ndim == 3:
            assert row["experts"] == pytest.approx([float(e.square().mean().sqrt()) for e in tensor], rel=1e-5)


def test_what_is_dead_or_not_finite_is_named(tmp_path: Path) -> None:
    made = build(SHAPE, 50, seed=1)
    with torch.no_grad():
        made.blocks[1].moe.w2[2] = 0.0
        made.blocks[2].attention.qkv.weight[3] = 0.0
        made.blocks[0].moe.w13[1, 0, :2] = float("nan")
        made.norm.weight[4] = float("inf")
    measured = parameters.measure(open_weights(save(tmp_path / "m", made, None)))
    assert parameters.findings(measured) == [
        {"tensor": "blocks.0.moe.w13", "kind": "not_finite", "text": "2 numbers are NaN or infinite"},
        {"tensor": "blocks.1.moe.w2", "kind": "dead", "text": "expert 2: every weight is zero"},
        {"tensor": "blocks.2.attention.qkv.weight", "kind": "dead", "text": "1 of 32 rows are all zero"},
        {"tensor": "norm.weight", "kind": "not_finite", "text": "1 numbers are NaN or infinite"},
    ]
    table = {tensor.name: tensor.table() for tensor in measured}
    assert table["norm.weight"]["norm"] == pytest.approx(15**0.5)  # of the finite ones
