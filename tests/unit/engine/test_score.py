"""A document's loss is the sum of its tokens' losses, each scored once, whatever the batches and the windows."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from orfevre import recipe
from orfevre.data.shards import Shard
from orfevre.engine import score
from orfevre.engine.build import build
from orfevre.model.transformer import Transformer

LENGTHS = [3, 40, 17, 2, 1, 33, 16, 18]


@pytest.fixture
def model() -> Transformer:
    shape = recipe.Model(
        hidden_size=16, num_layers=2, num_heads=2, num_kv_heads=1, ffn_size=16, num_experts=3, context_length=16
    )
    made = build(shape, 30, seed=1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(8)
    return made


def shard(lengths: list[int]) -> Shard:
    tokens = np.random.default_rng(0).integers(30, size=sum(lengths)).astype(np.uint16)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Shard("prose", "validation", tokens, offsets, np.array([4 * n for n in lengths]), Path("ids.txt"))


def naive(model: Transformer, tokens: list[int], window: int) -> float:
    """One window at a time, one target at a time."""
    total = 0.0
    for start in range(0, len(tokens) - 1, window):
        inputs, targets = tokens[start : start + window], tokens[start + 1 : start + window + 1]
        logits = model(torch.tensor([inputs[: len(targets)]])).detach()[0].log_softmax(-1)
        total -= sum(float(row[target]) for row, target in zip(logits, targets, strict=True))
    return total


@pytest.mark.parametrize("window", [5, 16])
@pytest.mark.parametrize("batch_tokens", [1, 64, 4096])
def test_documents_cost_what_the_naive_sum_says(
    model: Transformer, monkeypatch: pytest.MonkeyPatch, window: int, batch_tokens: int
) -> None:
    monkeypatch.setattr(score, "BATCH_TOKENS", batch_tokens)
    held_out = shard(LENGTHS)
    losses = score.score_shard(model, held_out, sequence_length=window)
    documents = np.split(held_out.tokens.astype(int), held_out.documents[1:-1])
    wanted = [naive(model, document.tolist(), window) for document in documents]
    np.testing.assert_allclose(losses.nats, wanted, rtol=1e-4)
    assert losses.tokens == sum(LENGTHS) - len(LENGTHS)
    assert losses.bits_per_byte == pytest.approx(sum(wanted) / math.log(2) / (4 * sum(LENGTHS)), rel=1e-4)
    assert (losses.expert_counts.sum(1) == 2 * losses.tokens).all()


def test_scoring_twice_gives_the_same_bits_and_leaves_the_mode_alone(model: Transformer) -> None:
    model.train()
    first, second = (score.score_shard(model, shard(LENGTHS)) for _ in range(2))
    assert np.array_equal(first.nats, second.nats)
    assert model.training


def test_max_tokens_takes_whole_documents_from_the_front_and_one_at_least(model: Transformer) -> None:
    held_out = shard(LENGTHS)
    assert score.score_shard(model, held_out, max_tokens=60).documents.tolist() == [0, 1, 2]
    assert score.score_shard(model, held_out, max_tokens=59).documents.tolist() == [0, 1]
    assert score.score_shard(model, held_out, max_tokens=1).documents.tolist() == [0]


def test_chosen_documents_are_scored_in_the_order_given(model: Transformer) -> None:
    everything = score.score_shard(model, shard(LENGTHS))
    some = score.score_shard(model, shard(LENGTHS), documents=[5, 1])
    np.testing.assert_allclose(some.nats, everything.nats[[5, 1]], rtol=1e-5)
    assert some.num_bytes.tolist() == [132, 160]


def test_an_empty_shard_has_no_bits_per_byte(model: Transformer) -> None:
    assert math.isnan(score.bits_per_byte(model, {"prose": shard([])}, 100, 16)["prose"])
