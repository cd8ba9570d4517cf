"""Slopes of losses between two scales: what all losses show together, and how sure it is."""

import numpy as np
import pytest

from orfevre.mix import slopes

NUM = 12


def drawn(seed, runs, spread=0.3, common=-0.3, error=0.5):
    rng = np.random.default_rng(seed)
    real = np.exp(common + spread * rng.standard_normal(NUM))
    told = rng.standard_normal((runs, NUM))
    measured = 3.0 + real * told + error * rng.standard_normal((runs, NUM))
    return real, told, measured, np.full((runs, NUM), error)


def alone(told, measured):
    x, y = told - told.mean(axis=0), measured - measured.mean(axis=0)
    return np.sum(x * y, axis=0) / np.sum(x * x, axis=0)


@pytest.mark.parametrize("runs", [3, 4, 6])
def test_slopes_told_together_are_nearer_the_truth_than_each_alone(runs):
    together, each = [], []
    for seed in range(12):
        real, told, measured, doubt = drawn(seed, runs)
        together.append(np.mean((slopes.fit(told, measured, doubt).mean - real) ** 2))
        each.append(np.mean((alone(told, measured) - real) ** 2))
    assert np.mean(together) < 0.6 * np.mean(each)


def test_a_common_change_of_amplitude_is_learnt_and_unmeasured_losses_take_part():
    _, told, measured, doubt = drawn(0, 6, spread=0.02, common=np.log(0.5), error=0.1)
    told[:, 0] *= 1e-3  # nothing is told of the first loss by its own runs
    measured[:, 0] = 3.0 + 0.1 * np.random.default_rng(1).standard_normal(6)
    found = slopes.fit(told, measured, doubt)
    assert found.mean[0] == pytest.approx(0.5, abs=0.1)
    low, high = found.intervals(0.9).T
    assert high[0] - low[0] > 1.5 * np.median(high[1:] - low[1:])


def test_intervals_hold_what_they_promise():
    held = []
    for seed in range(20):
        real, told, measured, doubt = drawn(seed, 5)
        low, high = slopes.fit(told, measured, doubt).intervals(0.9).T
        held.append((low <= real) & (real <= high))
    assert 0.84 <= np.mean(held) <= 0.97


def test_many_runs_are_believed():
    real, told, measured, doubt = drawn(3, 200, error=0.1)
    found = slopes.fit(told, measured, doubt)
    np.testing.assert_allclose(found.mean, real, rtol=0.05)
    np.testing.assert_allclose(found.noise, 1.0, atol=0.2)


def test_offsets_and_units_of_the_doubt_do_not_matter():
    _, told, measured, doubt = drawn(4, 5)
    one, other = slopes.fit(told, measured, doubt), slopes.fit(told + 7.0, measured - 2.0, doubt)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9)
    tenfold = slopes.fit(10 * told, 10 * measured, 10 * doubt)
    np.testing.assert_allclose(one.mean, tenfold.mean, rtol=1e-9)


def test_draws_have_the_mean_and_the_covariance():
    _, told, measured, doubt = drawn(5, 4)
    found = slopes.fit(told, measured, doubt)
    draws = found.sample(40_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), found.mean, rtol=0.02)
    scale = np.sqrt(np.diag(found.covariance))
    np.testing.assert_allclose(
        np.cov(draws.T) / np.outer(scale, scale), found.covariance / np.outer(scale, scale), atol=0.08
    )
    assert np.all(draws > 0)
    assert np.mean(found.covariance[np.triu_indices(NUM, 1)]) > 0  # losses share the doubt about the common slope
