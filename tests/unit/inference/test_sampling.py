"""The choice of a token: what may be drawn, how often it is, and that nobody else in the batch has a say in it."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from orfevre.errors import InputError, UserError
from orfevre.inference.sampling import Draw, Sampling, choose, distribution, penalise

SIZE = 40
SEEDS = st.integers(0, 10_000)
SETTINGS = st.builds(
    Sampling,
    temperature=st.floats(0.3, 3),
    top_k=st.integers(0, SIZE + 5),
    top_p=st.floats(0.05, 1),
    min_p=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 0.8, 1.3]),
    seed=SEEDS,
)


def logits_of(seed: int, rows: int = 1) -> torch.Tensor:
    return 3 * torch.randn(rows, SIZE, generator=torch.Generator().manual_seed(seed))


def transformers_says(logits: torch.Tensor, asked: Sampling, seen: list[int]) -> torch.Tensor:
    """The distribution of the processors that `generate` of transformers puts one after another."""
    chain: list[Any] = [TemperatureLogitsWarper(asked.temperature)]
    if asked.repetition_penalty != 1:
        chain.insert(0, RepetitionPenaltyLogitsProcessor(asked.repetition_penalty))
    if asked.top_k:
        chain.append(TopKLogitsWarper(asked.top_k))
    if asked.top_p < 1:
        chain.append(TopPLogitsWarper(asked.top_p))
    if asked.min_p:
        chain.append(MinPLogitsWarper(asked.min_p))
    ids = torch.tensor([seen])
    for each in chain:
        logits = each(ids, logits)
    return logits.softmax(dim=1)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, asked=SETTINGS, seen=st.lists(st.integers(0, SIZE - 1), min_size=1))
def test_the_distribution_is_transformers(seed: int, asked: Sampling, seen: list[int]) -> None:
    logits = logits_of(seed)
    found = distribution(penalise(logits, [Draw(asked, set(seen))]), [asked])
    found = found / found.sum()
    torch.testing.assert_close(found, transformers_says(logits, asked, seen), atol=1e-5, rtol=1e-4)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, k=st.integers(1, SIZE), p=st.floats(0.01, 0.999), floor=st.floats(0.001, 1))
def test_support_sets(seed: int, k: int, p: float, floor: float) -> None:
    probabilities = logits_of(seed).softmax(1)[0]
    ranked = probabilities.sort(descending=True).values

    def support(**options: float) -> torch.Tensor:
        return distribution(logits_of(seed), [Sampling(temperature=1, **options)])[0] > 0  # type: ignore[arg-type]

    assert torch.equal(support(top_k=k), probabilities >= ranked[k - 1])
    nucleus = probabilities[support(top_p=p)]
    assert nucleus.sum() >= p - 1e-6 and nucleus.sum() - nucleus.min() < p + 1e-6
    assert torch.equal(nucleus.sort(descending=True).values, ranked[: len(nucleus)])
    assert torch.equal(support(min_p=floor), probabilities >= floor * ranked[0])


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, asked=st.lists(SETTINGS, min_size=2, max_size=5), greedy=st.booleans())
def test_a_request_does_not_depend_on_its_neighbours(seed: int, asked: list[Sampling], greedy: bool) -> None:
    if greedy:
        asked[0] = Sampling(temperature=0)
    logits = logits_of(seed, len(asked))
    together = choose(logits, [Draw(each, {1, 2}) for each in asked])
    alone = [choose(logits[b : b + 1], [Draw(each, {1, 2})])[0] for b, each in enumerate(asked)]
    assert together == alone


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_temperature_0_takes_the_likeliest_and_draws_no_number(seed: int) -> None:
    logits = logits_of(seed, 3)
    draws = [Draw(Sampling(temperature=0)), Draw(Sampling(temperature=1)), Draw(Sampling(temperature=1e-4))]
    chosen = choose(logits, draws)
    assert [chosen[0], chosen[2]] == logits.argmax(1)[[0, 2]].tolist()
    assert draws[0].number() == Draw(Sampling()).number()


@pytest.mark.parametrize("options", [{}, {"top_k": 6}, {"top_p": 0.9}, {"min_p": 0.05}], ids=str)
def test_draws_are_as_frequent_as_they_should_be(options: dict[str, Any]) -> None:
    """Chi-square of 5,000 draws; the seed is fixed, so the test either always passes or never does."""
    asked, logits = Sampling(temperature=1.2, seed=5, **options), logits_of(7)
    wanted = distribution(logits, [asked])[0].double()
    draw = Draw(asked)
    counts = torch.zeros(SIZE)
    for _ in range(5_000):
        counts[choose(logits, [draw])[0]] += 1
    assert counts[wanted == 0].sum() == 0
    expected = 5_000 * wanted / wanted.sum()
    often = expected >= 5
    observed = [*counts[often].tolist(), counts[~often].sum().item()]
    against = [*expected[often].tolist(), expected[~often].sum().item()]
    if not against[-1]:  # no rare tokens
        observed, against = observed[:-1], against[:-1]
    assert stats.chisquare(observed, against, sum_check=False).pvalue > 0.001


def test_the_seed_decides() -> None:
    flat = torch.zeros(1, SIZE)

    def drawn(seed: int) -> list[int]:
        draw = Draw(Sampling(seed=seed))
        return [choose(flat, [draw])[0] for _ in range(12)]

    assert drawn(3) == drawn(3) != drawn(4)


def test_of_equals_exactly_k_are_kept() -> None:
    kept = distribution(torch.zeros(1, SIZE), [Sampling(top_k=3)])[0] > 0
    assert kept.nonzero()[:, 0].tolist() == [0, 1, 2]
    assert distribution(torch.zeros(1, SIZE), [Sampling(top_p=0.0)])[0].count_nonzero() == 1


def test_excluded_tokens_are_never_drawn() -> None:
    logits = torch.full((1, SIZE), -math.inf)
    logits[0, [4, 9]] = 0.0
    draw = Draw(Sampling(temperature=2.0))
    assert {choose(logits, [draw])[0] for _ in range(50)} == {4, 9}


def test_nan_is_named() -> None:
    logits = logits_of(1)
    logits[0, 3] = math.nan
    with pytest.raises(InputError, match="weights hold NaN"):
        choose(logits, [Draw(Sampling())])


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"tokens": 0}, "--tokens 0"),
        ({"temperature": -0.1}, "--temperature"),
        ({"temperature": math.nan}, "--temperature"),
        ({"temperature": math.inf}, "--temperature"),
        ({"top_k": -1}, "--top-k"),
        ({"top_p": 1.1}, "--top-p"),
        ({"top_p": math.nan}, "--top-p"),
        ({"min_p": -0.1}, "--min-p"),
        ({"min_p": 1.5}, "--min-p"),
        ({"repetition_penalty": 0.0}, "--repetition-penalty"),
        ({"stop": ("",)}, "--stop"),
    ],
    ids=str,
)
def test_values_out_of_range_are_named(options: dict[str, Any], flag: str) -> None:
    with pytest.raises(UserError, match=flag):
        Sampling(**options)
