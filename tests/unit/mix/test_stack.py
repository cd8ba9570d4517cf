"""Stacking and its intervals: shares on the simplex, CV+ by its definition, coverage on real runs."""

import csv
from pathlib import Path

import law
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.mix import conformal, stack, surrogate

REAL = Path(__file__).parents[4] / "shared/data/mix/proxy_runs_512.csv"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shares_are_a_mixture_and_favour_the_truthful(seed):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(60)
    told = truth[:, None] + rng.standard_normal((60, 3)) * np.array([0.05, 1.0, 1.0])
    shares = stack.believed(told, truth)
    assert np.all(shares >= 0)
    assert np.sum(shares) == pytest.approx(1.0)
    assert shares[0] > 0.6


def test_a_loss_that_every_member_tells_exactly_is_shared_out():
    truth = np.arange(10.0)
    np.testing.assert_allclose(np.sum(stack.believed(np.stack([truth] * 3, axis=1), truth)), 1.0)


def test_repeats_share_a_fold_and_folds_partition_the_runs():
    groups = [[0, 5, 9], [1], [2], [3, 4], [6], [7], [8]]
    folds = stack.folds_of(groups, 10)
    assert sorted(np.concatenate(folds).tolist()) == list(range(10))
    for group in groups:
        assert sum(set(group) <= set(fold.tolist()) for fold in folds) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.9]))
def test_intervals_are_the_quantiles_of_the_definition(seed, confidence):
    rng = np.random.default_rng(seed)
    folds = [np.array([0, 3, 4]), np.array([1]), np.array([2, 5, 6, 7, 8, 9, 10, 11])]
    means, doubts, errors = rng.normal(size=(3, 5)), rng.uniform(0.5, 2, (3, 5)), rng.exponential(size=12)
    low, high = conformal.interval(means, doubts, errors, folds, confidence)
    for place in range(5):
        ends = [(means[f, place], errors[row] * doubts[f, place]) for f, fold in enumerate(folds) for row in fold]
        rank = min(int(np.ceil(confidence * 13)), 12)
        assert high[place] == pytest.approx(sorted(mean + reach for mean, reach in ends)[rank - 1])
        assert low[place] == pytest.approx(sorted((mean - reach for mean, reach in ends), reverse=True)[rank - 1])


@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
@pytest.mark.parametrize(
    "count", [32, pytest.param(64, marks=pytest.mark.slow), pytest.param(128, marks=pytest.mark.slow)]
)
def test_intervals_hold_what_they_promise_on_real_runs(count):
    rows = list(csv.reader(REAL.open()))
    table = np.array(rows[1:], dtype=float)
    weights, losses = (
        table[:, [n for n, name in enumerate(rows[0]) if name.startswith(part)]] for part in ("weight", "loss")
    )
    held = []
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(table))
        seen, unseen = order[:count], order[count:]
        model = surrogate.fit(weights[seen], losses[seen], np.full(13, 1 / 13))
        low, high = model.loss_intervals(weights[unseen], 0.9)
        held.append(np.mean((low <= losses[unseen]) & (losses[unseen] <= high)))
    assert 0.85 <= np.mean(held) <= 0.95


@pytest.mark.parametrize("count", [32, 64, 128, 512])
def test_intervals_hold_what_they_promise_on_fresh_runs_of_a_law(count):
    rng = np.random.default_rng(count)

    def runs(number):
        mixtures = rng.dirichlet(np.ones(4), number)
        return mixtures, law.loss_rows(mixtures)[:, 1:3] + 0.02 * rng.standard_normal((number, 2))

    held = []
    for _ in range(4 if count < 100 else 1):
        model = surrogate.fit(*runs(count), np.array([0.5, 0.5]))
        mixtures, losses = runs(500)
        low, high = model.loss_intervals(mixtures, 0.9)
        held.append(np.mean((low <= losses) & (losses <= high)))
    assert 0.85 <= np.mean(held) <= 0.95
