"""Routing that is known is what is shown, to the last figure; nothing is lost at the ends of windows."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orfevre.data import shards
from orfevre.data.tokenizer import Tokenizer
from orfevre.engine import score
from orfevre.errors import UserError
from orfevre.inspect.trace import BATCH_TOKENS, by_layer, follow, predicted, trace
from orfevre.model.transformer import Transformer

IDS = [4, 8, 15, 16, 23, 42, 7, 10]  # five even, three odd


def test_forced_choices_counts_and_weights_are_exact(by_parity: Transformer) -> None:
    found = trace(by_parity, IDS, 32)
    for layer in range(3):
        assert found.chosen[layer].tolist() == [[0, 1] if token % 2 == 0 else [2, 3] for token in IDS]
    assert found.counts(4).tolist() == [[5, 5, 3, 3]] * 3
    first = 1 / (1 + math.exp(-math.sqrt(2)))  # a softmax over two logits that lie sqrt(2) apart
    assert found.weights[..., 0] == pytest.approx(first, abs=1e-4)


def test_entropies_and_z_of_forced_routing_are_those_of_the_formula(by_parity: Transformer) -> None:
    (layer, *_) = by_layer([trace(by_parity, IDS, 32)], 4)
    logits = torch.tensor([8**0.5, 8**0.5 - 2**0.5, -(8**0.5), -(8**0.5) - 2**0.5])
    p = logits.double().softmax(0)
    assert layer["counts"] == [5, 5, 3, 3]
    assert layer["load_entropy"] == pytest.approx(-sum(s * math.log2(s) for s in (5 / 16, 5 / 16, 3 / 16, 3 / 16)))
    assert layer["load_entropy_share"] == pytest.approx(layer["load_entropy"] / 2)
    assert layer["token_entropy"] == pytest.approx(float(-(p * p.log2()).sum()), abs=1e-3)
    assert layer["router_z"] == pytest.approx(float(logits.logsumexp(0)) ** 2, rel=1e-3)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 200), min_size=1, max_size=80), st.integers(1, 32))
def test_every_token_makes_k_choices_in_every_layer(model: Transformer, ids: list[int], window: int) -> None:
    found = trace(model, ids, window)
    assert found.ids.tolist() == ids
    assert found.counts(4).sum(axis=1).tolist() == [2 * len(ids)] * 3
    assert found.weights.sum(axis=2) == pytest.approx(1, abs=1e-5)
    assert np.isnan(found.bits).tolist() == [True] + [False] * (len(ids) - 1)
    assert (found.entropy >= 0).all() and (found.entropy <= 2 + 1e-5).all()


@pytest.mark.parametrize("window", [1, 7, 16, 32])
def test_windows_cost_what_evaluate_says(model: Transformer, coder: Tokenizer, tmp_path: Path, window: int) -> None:
    generator = np.random.default_rng(1)
    documents = [generator.integers(3, coder.vocab_size, size) for size in (2, 33, 100)]
    with shards.ShardWriter(tmp_path / "shards" / "a", "validation", "uint16") as writer:
        for number, ids in enumerate(documents):
            writer.add(f"{number:016x}", ids, 10)
    sizes = {"train": shards.Split(tokens=0, documents=0, bytes=0), "validation": writer.sizes}
    index = {"vocab_size": coder.vocab_size, "dtype": "uint16", "bos": 0, "eos": 1, "pad": 2}
    shards.write_index(tmp_path, shards.Index(**index, sources={"a": shards.SourceIndex(**sizes)}))
    scored = score.score_shard(model, shards.open_shard(tmp_path, "a", "validation"), sequence_length=window)
    traces = list(follow(model, documents, window))
    nats = [predicted(one.bits).sum() * math.log(2) for one in traces]
    assert nats == pytest.approx(scored.nats, rel=1e-5)
    for one, counted in zip(traces, scored.document_experts, strict=True):
        # evaluate predicts every token but the first from those before it; the last one's routing predicts nothing
        last = np.stack([np.bincount(layer[-1], minlength=4) for layer in one.chosen])
        assert (one.counts(4) - last).tolist() == counted.tolist()


def test_texts_together_are_as_each_alone(model: Transformer) -> None:
    generator = np.random.default_rng(2)
    texts = [generator.integers(0, 200, size) for size in (5, 32, 1, 90, BATCH_TOKENS // 8)]
    for ids, together in zip(texts, follow(model, texts, 16), strict=True):
        alone = trace(model, ids, 16)
        assert together.ids.tolist() == ids.tolist()
        assert together.chosen.tolist() == alone.chosen.tolist()
        assert together.bits == pytest.approx(alone.bits, abs=1e-4, nan_ok=True)


def test_an_id_outside_the_vocabulary_is_named(model: Transformer) -> None:
    with pytest.raises(UserError, match="token id 9999 is outside the vocabulary"):
        trace(model, [1, 9999], 32)
