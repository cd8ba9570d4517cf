"""Noise from repeats: textbook pure error, slopes found again or left at none, and what the process makes of them."""

import law as truth
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.mix import gp, noise, surrogate

EVEN = np.array([0.5, 0.5])


def noisy_runs(seed, slope, num=20, repeats=2):
    """Each of `num` mixtures run `repeats` times; noise grows as exp(slope z). Returns mixtures, losses, loudness."""
    rng = np.random.default_rng(seed)
    mixtures = np.repeat(rng.dirichlet(np.ones(4), num), repeats, axis=0)
    clean, loud = clean_and_loud(mixtures, slope)
    return mixtures, clean + loud * rng.standard_normal(clean.shape)


def clean_and_loud(mixtures, slope):
    """Losses without noise [m, 2] and the deviation of their noise [m, 2]."""
    typical = truth.loss_rows(np.random.default_rng(0).dirichlet(np.ones(4), 2000))[:, [1, 2]]
    clean = truth.loss_rows(mixtures)[:, [1, 2]]
    z = (clean - typical.mean(axis=0)) / typical.std(axis=0)
    return clean, 0.15 * typical.std(axis=0) * np.exp(slope * z)


def test_pure_error_is_the_pooled_deviation_within_mixtures():
    losses = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 9.0], [7.0, 1.0], [7.0, 3.0]])
    groups = [[0, 1, 2], [3, 4]]
    # within: 2 and 0 of squares over 2 + 1 degrees of freedom; 32/3 and 2
    expected = np.sqrt([2.0 / 3, (32 / 3 + 2.0) / 3])
    np.testing.assert_allclose(noise.pure_error(losses, groups), expected)
    assert noise.pure_error(losses, [[0], [1], [2], [3], [4]]) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-0.4, 0.4))
def test_slopes_are_found_again_from_many_repeats(seed, slope):
    rng = np.random.default_rng(seed)
    z, freedom = rng.standard_normal((60, 3)), np.full(60, 9.0)
    variances = np.exp(2 * slope * z) * rng.chisquare(9, (60, 3)) / 9
    np.testing.assert_allclose(noise.slopes(variances, freedom, z, 3.0), slope, atol=0.15)


def test_few_repeats_are_hardly_believed():
    """Two mixtures of three runs: a variance four times the other is chance as likely as not."""
    found = noise.slopes(np.array([[1.0], [4.0]]), np.array([2.0, 2.0]), np.array([[-1.0], [1.0]]), 1.0)
    assert 0 < found[0] < 0.5 * np.log(2) / 2  # taken at its word it were log(2) / 2
    many = noise.slopes(np.array([[1.0], [4.0]]), np.array([200.0, 200.0]), np.array([[-1.0], [1.0]]), 1.0)
    assert many[0] == pytest.approx(np.log(2) / 2, rel=0.05)


def test_copies_of_a_loss_count_once():
    rng = np.random.default_rng(1)
    one, groups = rng.standard_normal((80, 1)), [[2 * row, 2 * row + 1] for row in range(40)]
    assert noise._independent(np.repeat(one, 5, axis=1), groups) == pytest.approx(1.0)
    assert noise._independent(rng.standard_normal((80, 5)), groups) > 4


def test_the_ratio_is_one_on_average_and_grows_where_noise_does():
    mixtures, losses = noisy_runs(3, 0.6, num=40, repeats=3)
    found = noise.fit(mixtures, losses, surrogate.same_mixture(mixtures))
    for column, one in enumerate(found):
        assert np.mean(np.log(one.ratio(mixtures))) == pytest.approx(0.0, abs=1e-9)
        _, loud = clean_and_loud(mixtures, 0.6)
        assert np.corrcoef(np.log(one.ratio(mixtures)), np.log(loud[:, column]))[0, 1] > 0.9
        assert 0.2 < one.slope < 0.8
        far = one.ratio(np.eye(4))
        assert np.all((far >= 1 / noise.MOST) & (far <= noise.MOST))


@pytest.mark.parametrize(
    ("mixtures", "losses"),
    [
        (np.eye(4), np.ones((4, 2))),  # no repeats
        (np.array([[0.5, 0.5]] * 3 + [[0.2, 0.8], [0.1, 0.9]]), np.arange(10.0).reshape(5, 2)),  # one mixture's
        (np.array([[0.5, 0.5]] * 2 + [[0.2, 0.8]] * 2), np.array([[1.0, 2.0]] * 2 + [[3.0, 4.0]] * 2)),  # all equal
    ],
)
def test_without_repeats_that_differ_noise_is_equal_everywhere(mixtures, losses):
    assert noise.fit(mixtures, losses, surrogate.same_mixture(mixtures)) == (None, None)


def test_one_loss_that_never_differs_leaves_the_others_alone():
    mixtures, losses = noisy_runs(3, 0.5)
    losses[:, 1] = truth.loss_rows(mixtures)[:, 2]
    first, second = noise.fit(mixtures, losses, surrogate.same_mixture(mixtures))
    assert first is not None and second is None
    assert noise.pure_error(losses, surrogate.same_mixture(mixtures))[1] == pytest.approx(0.0, abs=1e-12)


def test_equal_noise_is_what_it_was_without_ratios():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    plain, told = gp.fit(x, y), gp.fit(x, y, ratio=np.ones(20))
    np.testing.assert_array_equal(plain.theta, told.theta)
    np.testing.assert_array_equal(plain.mean(x), told.mean(x))
    mixtures, losses = noisy_runs(0, 0.5, repeats=1)
    fitted = surrogate.fit(mixtures, losses, EVEN)
    assert fitted.pure_error is None
    assert all(one.whole.smooth.louder is None for one in fitted.stacks)


def test_a_mean_of_four_runs_is_one_run_of_half_the_noise(monkeypatch):
    monkeypatch.setattr(gp, "OUTLIER", 1e9)
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((12, 2)), rng.standard_normal((12, 4))
    theta = np.array([0.3, 0.6, 0.1, -1.0])
    four = gp.condition(np.repeat(x, 4, axis=0), y.reshape(-1), theta, 0.2, 1.3)
    one = gp.condition(x, y.mean(axis=1), theta, 0.2, 1.3, np.full(12, 0.5))
    places = rng.standard_normal((30, 2))
    np.testing.assert_allclose(one.mean(places), four.mean(places), atol=1e-5)
    np.testing.assert_allclose(one.variance(places), four.variance(places), atol=1e-5)


def test_a_process_that_knows_its_noise_tells_more():
    """Over draws of runs whose noise differs by a factor of 20: nearer the truth than with equal noise."""
    told = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, places = rng.uniform(-1, 1, (40, 2)), rng.uniform(-1, 1, (200, 2))
        ratio = np.exp(1.5 * x[:, 0])
        y = np.sin(2 * x.sum(axis=1)) + 0.3 * ratio * rng.standard_normal(40)
        fits = gp.fit(x, y, gp.STARTS[:1], ratio), gp.fit(x, y, gp.STARTS[:1])
        told.append([np.sqrt(np.mean((one.mean(places) - np.sin(2 * places.sum(axis=1))) ** 2)) for one in fits])
    ours, equal = np.mean(told, axis=0)
    assert ours < 0.85 * equal


def test_loud_mixtures_are_doubted_more():
    mixtures, losses = noisy_runs(1, 0.8)
    fitted = surrogate.fit(mixtures, losses, EVEN)
    unseen = np.random.default_rng(9).dirichlet(np.ones(4), 300)
    _, loud = clean_and_loud(unseen, 0.8)
    doubt = fitted.loss_deviations(unseen, of_a_run=True)
    assert surrogate.spearman(doubt[:, 0], loud[:, 0]) > 0.5
    np.testing.assert_allclose(
        fitted.pure_error, np.sqrt(np.mean(clean_and_loud(mixtures, 0.8)[1] ** 2, axis=0)), rtol=0.5
    )


def test_intervals_hold_where_noise_differs():
    rng, held = np.random.default_rng(4), []
    for seed in range(3):
        fitted = surrogate.fit(*noisy_runs(seed, 0.6), EVEN)
        unseen = rng.dirichlet(np.ones(4), 300)
        clean, loud = clean_and_loud(unseen, 0.6)
        low, high = fitted.loss_intervals(unseen, 0.9)
        fresh = clean + loud * rng.standard_normal(clean.shape)
        held.append(np.mean((low <= fresh) & (fresh <= high)))
    assert 0.85 <= np.mean(held) <= 0.95
