"""One sequence, token by token: what recomputation gives, decided by the seed, and over when it should be."""

from typing import Any

import pytest
import torch

from orfevre.errors import InputError, UserError
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.generate import generate
from orfevre.inference.sampling import Sampling
from orfevre.model.transformer import Transformer


def sample(model: Transformer, **asked: Any) -> list[int]:
    return list(generate(TorchDecoder(model), [1], Sampling(**asked)))


def test_greedy_generation_equals_recomputation_without_a_cache(model: Transformer) -> None:
    ids = [1, 2, 3]
    for _ in range(10):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert list(generate(TorchDecoder(model), [1, 2, 3], Sampling(tokens=10, temperature=0))) == ids[3:]


def test_sampling_is_decided_by_the_seed_and_kept_within_top_k_top_p_and_min_p(model: Transformer) -> None:
    greedy = sample(model, tokens=15, temperature=0)
    assert sample(model, tokens=15, seed=4) == sample(model, tokens=15, seed=4)
    assert sample(model, tokens=15, seed=4) != sample(model, tokens=15, seed=5)
    for narrow in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        assert sample(model, tokens=15, seed=4, **narrow) == greedy


def test_generation_stops_at_an_end_token_and_at_the_end_of_the_context(model: Transformer) -> None:
    greedy = sample(model, tokens=100, temperature=0)
    assert len(greedy) == 63
    stopped = sample(model, tokens=100, temperature=0, ends=(greedy[4],))
    assert stopped == greedy[: greedy.index(greedy[4]) + 1]


def test_a_slot_is_forgotten_before_it_is_used(model: Transformer) -> None:
    decoder, asked = TorchDecoder(model, 2), Sampling(tokens=5, temperature=0)
    first = list(generate(decoder, [4, 5], asked, slot=1))
    assert list(generate(decoder, [4, 5], asked, slot=1)) == first


@pytest.mark.parametrize("ids", [[], list(range(64)), [50], [-1]])
def test_a_prompt_that_cannot_be_continued_is_refused(model: Transformer, ids: list[int]) -> None:
    with pytest.raises(UserError, match=r"prompt|vocabulary"):
        next(generate(TorchDecoder(model), ids, Sampling()))


def test_weights_that_hold_nan_are_named_as_the_cause(make_model: Any) -> None:
    broken = make_model()
    with torch.no_grad():
        broken.output.weight[3, 3] = float("nan")
    with pytest.raises(InputError, match="weights hold NaN"):
        next(generate(TorchDecoder(broken), [1], Sampling()))
