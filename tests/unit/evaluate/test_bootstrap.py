import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from orfevre.evaluate import bootstrap


def population(generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents of very different lengths, each with its own bits per byte (mean 2, times ln 2 for nats)."""
    num_bytes = np.ceil(generator.lognormal(7, 1, size))
    return num_bytes * generator.gamma(20, 0.1, size) * math.log(2), num_bytes


@pytest.mark.parametrize(("num_documents", "least"), [(10, 0.88), (60, 0.90)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(num_documents: int, least: float) -> None:
    """500 experiments at 95 %: 0.95 is what it says, `least` what it must reach for documents of such uneven length."""
    generator = np.random.default_rng(7)
    truth, covered = 2.0, 0
    for _ in range(500):
        nats, num_bytes = population(generator, num_documents)
        low, high = bootstrap.interval(bootstrap.resampled(nats, num_bytes, 400, generator), 0.95, num_documents - 1)
        covered += low <= truth <= high
    assert least <= covered / 500 <= 0.98


def test_it_agrees_with_scipy() -> None:
    generator = np.random.default_rng(3)
    nats, num_bytes = population(generator, 80)
    ours = bootstrap.interval(bootstrap.resampled(nats, num_bytes, 20_000, generator), 0.9, 1e9)

    def ratio(nats: np.ndarray, num_bytes: np.ndarray, axis: int = -1) -> np.ndarray:
        return nats.sum(axis) / math.log(2) / num_bytes.sum(axis)

    theirs = stats.bootstrap(
        (nats, num_bytes),
        ratio,
        paired=True,
        n_resamples=20_000,
        confidence_level=0.9,
        method="percentile",
        rng=generator,
        vectorized=True,
        batch=1000,
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours == (pytest.approx(theirs.low, abs=0.05 * width), pytest.approx(theirs.high, abs=0.05 * width))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 10**6)), min_size=1, max_size=30), st.integers(0, 99))
def test_resamples_lie_between_the_best_and_the_worst_document(pairs: list[tuple[float, int]], seed: int) -> None:
    nats, num_bytes = zip(*pairs, strict=True)
    ratios = np.array(nats) / math.log(2) / np.array(num_bytes)
    draws = bootstrap.resampled(nats, num_bytes, 50, np.random.default_rng(seed))
    assert draws.shape == (50,)
    assert np.all(draws >= ratios.min() * (1 - 1e-12) - 1e-12)
    assert np.all(draws <= ratios.max() * (1 + 1e-12) + 1e-12)


def test_chunks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nats, num_bytes = population(np.random.default_rng(1), 50)
    whole = bootstrap.resampled(nats, num_bytes, 101, np.random.default_rng(5))
    monkeypatch.setattr(bootstrap, "CHUNK", 500)
    assert np.allclose(bootstrap.resampled(nats, num_bytes, 101, np.random.default_rng(5)), whole, rtol=1e-12)


def test_a_wider_confidence_is_a_wider_interval() -> None:
    nats, num_bytes = population(np.random.default_rng(1), 50)
    draws = bootstrap.resampled(nats, num_bytes, 1000, np.random.default_rng(5))
    (low90, high90), (low99, high99) = (bootstrap.interval(draws, level, 49) for level in (0.9, 0.99))
    assert low99 < low90 < bootstrap.bits_per_byte(nats, num_bytes) < high90 < high99


def test_one_byte_a_nat_of_ln_2_is_one_bit_per_byte() -> None:
    assert bootstrap.bits_per_byte([math.log(2) * 3, math.log(2)], [3, 1]) == pytest.approx(1.0)


@given(st.floats(1, 1000))
def test_fewer_degrees_of_freedom_are_a_wider_interval(freedom: float) -> None:
    draws = np.random.default_rng(1).normal(size=2000)
    low, high = bootstrap.interval(draws, 0.95, freedom)
    plain_low, plain_high = np.quantile(draws, [0.025, 0.975])
    assert low <= plain_low < plain_high <= high


def test_one_document_has_an_interval_of_no_width() -> None:
    draws = bootstrap.resampled([5.0], [3], 10, np.random.default_rng(1))
    low, high = bootstrap.interval(draws, 0.95, 0)
    assert low == high == pytest.approx(bootstrap.bits_per_byte([5.0], [3]))


def test_freedom_of_a_sum() -> None:
    assert bootstrap.combined_freedom([2.0], [9]) == pytest.approx(9)
    assert bootstrap.combined_freedom([1.0, 1.0], [9, 9]) == pytest.approx(18)
    assert bootstrap.combined_freedom([1.0, 1e-12], [9, 1]) == pytest.approx(9)
    assert bootstrap.combined_freedom([1.0, 0.0], [9, 0]) == pytest.approx(9)
    assert bootstrap.combined_freedom([1.0, 1e-33], [9, 0]) == pytest.approx(9)
    assert bootstrap.combined_freedom([0.0], [0]) == 0.0
