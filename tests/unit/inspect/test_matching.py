"""Experts in another order are the same experts: found, matched and compared as such."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.inspect.conftest import permuted, save

from orfevre.inspect import matching
from orfevre.inspect.matching import comparable, compare, match
from orfevre.model.transformer import Transformer, initialise
from orfevre.weights.opened import open_weights


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.permutations(range(4)), min_size=3, max_size=3))
def test_a_permutation_is_recovered_and_nothing_else_differs(
    model: Transformer, tmp_path_factory: pytest.TempPathFactory, orders: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    a = open_weights(save(folder / "a", model, None))
    b = open_weights(save(folder / "b", permuted(model, orders), None))
    for layer, order in enumerate(orders):
        found = match(a, b, layer)
        assert [order[j] for j in found.second] == list(found.first)
        assert found.permuted == (list(order) != [0, 1, 2, 3])
        assert found.similarity == pytest.approx((1.0,) * 4, abs=1e-5)
        for name in a.names():
            if name.startswith(f"blocks.{layer}."):
                assert compare(a, b, name, found)["relative"] == 0.0
    for name in ("embedding.weight", "norm.weight", "output.weight"):
        assert compare(a, b, name, None)["relative"] == 0.0


@pytest.mark.parametrize("chunk", [40, 4_000_000])
def test_changes_are_measured_to_scale(
    model: Transformer, tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "CHUNK", chunk)
    a = open_weights(save(tmp_path / "a", model, None))
    with torch.no_grad():
        model.blocks[1].moe.w2[2] *= 1.5
        model.output.weight *= 0.9
    b = open_weights(save(tmp_path / "b", model, None))
    found = match(a, b, 1)
    assert not found.permuted
    assert compare(a, b, "blocks.1.moe.w2", found)["experts"] == pytest.approx([0, 0, 0.5, 0], abs=1e-6)
    assert compare(a, b, "output.weight", None)["relative"] == pytest.approx(0.1, rel=1e-5)
    assert compare(a, b, "blocks.0.moe.w2", match(a, b, 0))["relative"] == 0.0


def test_a_model_with_fewer_experts_is_matched_with_those_it_kept(model: Transformer, tmp_path: Path) -> None:
    a = open_weights(save(tmp_path / "a", model, None))
    kept = [3, 1]
    smaller = Transformer(model.config.model_copy(update={"num_experts": 2}), model.vocab_size)
    initialise(smaller, torch.Generator().manual_seed(1))
    state = model.state_dict()
    state |= {name: x[kept] for name, x in state.items() if name.endswith(("w13", "w2", "gate.weight"))}
    smaller.load_state_dict(state)
    b = open_weights(save(tmp_path / "b", smaller, None))
    found = match(a, b, 0)
    assert (found.first, found.second) == ((1, 3), (1, 0))
    assert compare(a, b, "blocks.0.moe.w13", found)["relative"] == 0.0


def test_what_cannot_be_compared_says_why(model: Transformer, tmp_path: Path) -> None:
    wider = Transformer(model.config.model_copy(update={"ffn_size": 12, "qk_norm": True}), model.vocab_size)
    initialise(wider, torch.Generator().manual_seed(1))
    a, b = (open_weights(save(tmp_path / name, made, None)) for name, made in (("a", model), ("b", wider)))
    assert not comparable(a, b, 0)
    assert compare(a, b, "blocks.0.moe.w2", None)["note"] == "[4, 16, 8] in A, [4, 16, 12] in B"
    assert compare(a, b, "blocks.0.attention.q_norm.weight", None)["note"] == "not in A"


def test_an_expert_that_is_all_zero_matches_what_is_left(model: Transformer, tmp_path: Path) -> None:
    with torch.no_grad():
        model.blocks[0].moe.w13[1] = 0.0
        model.blocks[0].moe.w2[1] = 0.0
    a = open_weights(save(tmp_path / "a", model, None))
    found = match(a, a, 0)
    assert not found.permuted and found.similarity[1] == 0.0
    assert compare(a, a, "blocks.0.moe.w2", found)["experts"] == [0.0] * 4
