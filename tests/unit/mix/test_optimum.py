"""The surrogate and its optimum: gradients, a known optimum found within its interval, limits never broken."""

import csv
from pathlib import Path

import law
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.mix import optimum, surrogate
from orfevre.mix.design import candidates, design
from orfevre.mix.limits import Limits

TARGET = np.array([0.1, 0.5, 0.3, 0.1])
WHOLE = Limits(law.SOURCES, np.zeros(4), np.ones(4))
REAL = Path(__file__).parents[4] / "shared/data/mix/proxy_runs_512.csv"


def truth(mixtures):
    """Losses [m, 4] of the law."""
    return law.loss_rows(mixtures)


def fitted(seed, count=32, noise=law.NOISE):
    tried = design(np.array([0.4, 0.2, 0.1, 0.3]), TARGET, WHOLE, count, seed)
    losses = truth(tried) + noise * np.random.default_rng(seed).standard_normal((count, 4))
    return surrogate.fit(tried, losses, TARGET)


def true_optimum(bounds):
    pool = candidates(np.full(4, 0.25), bounds, 20_000, np.random.default_rng(0))
    return pool[np.argmin(truth(pool) @ TARGET)]


def test_gradient_is_the_finite_difference():
    model = fitted(0)
    for mixture in np.random.default_rng(1).dirichlet(np.ones(4), 5):
        moves = np.eye(4) * 1e-6
        expected = [(model.mean((mixture + m)[None]) - model.mean((mixture - m)[None]))[0] / 2e-6 for m in moves]
        np.testing.assert_allclose(model.gradient(mixture), expected, rtol=1e-4, atol=1e-6)


def test_known_optimum_lies_within_its_intervals():
    best, inside, regret = true_optimum(WHOLE), [], []
    for seed in range(6):
        model, rng = fitted(seed), np.random.default_rng(seed)
        found = optimum.minimise(model, WHOLE, np.full(4, 0.25), rng)
        low, high = optimum.intervals(model, WHOLE, found, 0.9, rng)
        inside += ((low - 0.01 <= best) & (best <= high + 0.01)).tolist()
        regret.append((truth(found[None]) - truth(best[None])) @ TARGET)
    assert np.mean(inside) >= 0.85
    assert np.max(regret) < 0.01  # bits per byte; the natural mixture is 0.1 above the optimum


def test_more_proxies_narrow_the_intervals():
    widths = []
    for count in (12, 64):
        model, rng = fitted(0, count, noise=0.02), np.random.default_rng(0)
        found = optimum.minimise(model, WHOLE, np.full(4, 0.25), rng)
        low, high = optimum.intervals(model, WHOLE, found, 0.9, rng)
        widths.append(np.sum(high - low))
    assert widths[1] < widths[0]


@pytest.fixture(scope="module")
def model():
    return fitted(2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_optimum_keeps_random_limits(model, seed):
    rng = np.random.default_rng(seed)
    inside = rng.dirichlet(np.full(4, 0.7))
    bounds = Limits(law.SOURCES, inside * rng.uniform(size=4), np.minimum(1, inside + rng.exponential(0.1, 4)))
    found = optimum.minimise(model, bounds, np.full(4, 0.25), rng)
    assert bounds.contains(found)
    pool = candidates(inside, bounds, 500, rng)
    assert model.mean(found[None])[0] <= np.min(model.mean(pool)) + 1e-6
    rivals = optimum.spread_out(found, bounds, 100, rng)
    assert all(bounds.contains(rival) for rival in rivals)
    low, high = optimum.intervals(model, bounds, found, 0.9, rng)
    assert np.all(low >= bounds.low - 1e-9)
    assert np.all(high <= bounds.high + 1e-9)


def test_slices_move_one_source_and_keep_the_others_in_proportion(model):
    mixture = np.array([0.1, 0.5, 0.3, 0.1])
    slices = optimum.slices(model, mixture, np.full(4, 0.8), 0.9)
    for source, one in enumerate(slices):
        assert one.weight[0] == 0.0
        assert one.weight[-1] == 0.8
        assert np.all(one.low <= one.predicted)
        assert np.all(one.predicted <= one.high)
        at_home = np.interp(mixture[source], one.weight, one.predicted)
        assert abs(at_home - model.mean(mixture[None])[0]) < 0.02


def test_deviation_of_a_sum_counts_the_correlation(model):
    mixtures = np.random.default_rng(0).dirichlet(np.ones(4), 6)
    draws = model.sample(mixtures, 20_000, np.random.default_rng(1))
    np.testing.assert_allclose(draws.mean(axis=0), model.mean(mixtures), atol=2e-3)
    np.testing.assert_allclose(draws.std(axis=0), model.deviation(mixtures), rtol=0.05)


@pytest.mark.skipif(not REAL.exists(), reason=f"needs {REAL}")
def test_ranks_and_covers_real_proxy_runs():
    rows = list(csv.reader(REAL.open()))
    table = np.array(rows[1:], dtype=float)
    weights, losses = (
        table[:, [n for n, name in enumerate(rows[0]) if name.startswith(part)]] for part in ("weight", "loss")
    )
    order = np.random.default_rng(0).permutation(len(table))
    seen, unseen = order[:64], order[64:]
    target = np.full(losses.shape[1], 1 / losses.shape[1])
    model = surrogate.fit(weights[seen], losses[seen], target)
    low, high = model.interval(weights[unseen], 0.9, of_a_run=True)
    measured = losses[unseen] @ target
    assert surrogate.spearman(measured, model.mean(weights[unseen])) > 0.95
    assert 0.75 < np.mean((low <= measured) & (measured <= high)) < 0.99
