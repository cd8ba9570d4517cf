"""The ladder: losses of a larger scale told from a smaller one, a face like the surrogate's, honest intervals."""

import law
import numpy as np
import pytest

from orfevre.mix import ladder, optimum, rank_risk, surrogate
from orfevre.mix.limits import Limits

WHOLE = Limits(law.SOURCES, np.zeros(4), np.ones(4))
TARGET = np.array([0.1, 0.5, 0.3, 0.1])
SLOPES = np.array([1.5, 0.5, 1.2, 0.8])
NOISE = law.NOISE


def larger(mixtures, rng=None, slopes=SLOPES):
    """The law at a larger scale: each loss moves by another factor."""
    truth = 0.7 + slopes * (law.loss_rows(mixtures) - 2.5)
    return truth if rng is None else truth + NOISE * rng.standard_normal(truth.shape)


def drawn(seed, count):
    return np.random.default_rng(seed).dirichlet(np.ones(4), count)


@pytest.fixture(scope="module")
def small():
    mixtures = drawn(0, 40)
    losses = law.loss_rows(mixtures) + NOISE * np.random.default_rng(1).standard_normal((40, 4))
    return surrogate.fit(mixtures, losses, TARGET)


@pytest.fixture(scope="module")
def rung(small):
    runs = drawn(2, 6)
    return ladder.climb(small, runs, larger(runs, np.random.default_rng(3)))


def test_equal_scales_leave_the_surrogate_as_it_is(small):
    runs = drawn(4, 8)
    same = ladder.climb(small, runs, law.loss_rows(runs) + NOISE * np.random.default_rng(5).standard_normal((8, 4)))
    np.testing.assert_allclose(same.slopes.mean, 1.0, atol=0.1)
    np.testing.assert_allclose(same.losses(runs), small.losses(runs), atol=0.02)


def test_losses_and_slopes_of_the_larger_scale_are_found(rung):
    asked = drawn(6, 200)
    np.testing.assert_allclose(rung.slopes.mean, SLOPES, rtol=0.12)
    error = rung.losses(asked) - larger(asked)
    assert np.all(np.sqrt(np.mean(error**2, axis=0)) < 0.15 * np.std(larger(asked), axis=0))


def test_the_weighted_sum_is_ranked_better_than_by_the_small_scale(small, rung):
    """Amplitudes change: the order of target losses at the small scale is not that at the larger."""
    asked = drawn(7, 300)
    target = np.array([0.0, 0.5, 0.0, 0.5])
    truth = larger(asked) @ target
    bent = surrogate.spearman(rung.aimed(target).mean(asked), truth)
    plain = surrogate.spearman(small.aimed(target).mean(asked), truth)
    assert bent > plain + 0.02 and bent > 0.98


def test_the_optimum_moves_to_that_of_the_larger_scale(small, rung):
    target = np.array([0.0, 0.5, 0.0, 0.5])
    pool = drawn(8, 40_000)
    least = np.min(larger(pool) @ target)
    found = [
        float((larger(optimum.minimise(one.aimed(target), WHOLE, np.full(4, 0.25), np.random.default_rng(0))[None])
               @ target)[0])
        for one in (small, rung)
    ]  # fmt: skip
    assert found[1] < found[0] - 0.002
    assert found[1] < least + 0.002


def test_gradients_are_those_of_the_means(rung):
    place, step = np.array([0.3, 0.3, 0.2, 0.2]), 1e-5
    slopes = (rung.losses(place + step * np.eye(4)) - rung.losses(place - step * np.eye(4))) / (2 * step)
    np.testing.assert_allclose(rung.loss_gradients(place), slopes.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rung.gradient(place), TARGET @ slopes.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rung.mean(place[None]), rung.losses(place[None]) @ TARGET)


def test_draws_spread_as_the_deviation_says(rung):
    asked = drawn(9, 5)
    draws = rung.sample(asked, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), rung.mean(asked), atol=0.1 * np.max(rung.deviation(asked)))
    np.testing.assert_allclose(draws.std(axis=0), rung.deviation(asked), rtol=0.25)
    assert np.all(rung.deviation(asked, of_a_run=True) >= rung.deviation(asked))
    whole = rung.sample_losses(asked, 4000, np.random.default_rng(1))
    np.testing.assert_allclose(whole.std(axis=0), rung.loss_deviations(asked), rtol=0.25)


def test_the_slopes_doubt_widens_what_lies_far_from_the_runs(small):
    near = np.array([[0.25, 0.25, 0.25, 0.25], [0.24, 0.26, 0.25, 0.25], [0.26, 0.24, 0.25, 0.25]])
    bunched = ladder.climb(small, near, larger(near, np.random.default_rng(0)))
    spread = drawn(2, 3)
    apart = ladder.climb(small, spread, larger(spread, np.random.default_rng(0)))
    far = np.array([[0.9, 0.04, 0.03, 0.03]])
    assert bunched.deviation(far)[0] > 2 * apart.deviation(far)[0]
    assert np.ptp(bunched.slopes.intervals(0.9), axis=1).min() > np.ptp(apart.slopes.intervals(0.9), axis=1).max()


@pytest.mark.parametrize("runs", [2, 4, 8])
def test_intervals_of_a_run_hold_about_what_they_promise(small, runs):
    held, sums = [], []
    for seed in range(10):
        rng = np.random.default_rng([seed, runs])
        real = np.exp(0.3 * rng.standard_normal(4))
        mixtures, asked = rng.dirichlet(np.ones(4), runs), rng.dirichlet(np.ones(4), 60)
        made = ladder.climb(small, mixtures, larger(mixtures, rng, real))
        measured = larger(asked, rng, real)
        low, high = made.loss_intervals(asked, 0.9)
        held.append(np.mean((low <= measured) & (measured <= high)))
        low, high = made.interval(asked, 0.9, of_a_run=True)
        sums.append(np.mean((low <= measured @ TARGET) & (measured @ TARGET <= high)))
    most = 0.97 if runs > 2 else 1.0  # of two runs nobody knows the noise: wide
    assert 0.85 <= np.mean(held) <= most
    assert 0.85 <= np.mean(sums) <= most


def test_a_second_rung_stands_on_the_first(rung):
    """Amplitudes multiply from rung to rung."""
    runs = drawn(10, 5)
    factor = np.array([0.7, 1.2, 0.9, 1.0])
    again = 0.5 + factor * larger(runs) + NOISE * np.random.default_rng(4).standard_normal((5, 4))
    top = ladder.climb(rung, runs, again)
    asked = drawn(11, 100)
    truth = 0.5 + factor * larger(asked)
    error = np.sqrt(np.mean((top.losses(asked) - truth) ** 2, axis=0))
    assert np.all(error < 0.2 * np.std(truth, axis=0))
    np.testing.assert_allclose(
        top.loss_gradients(asked[0]), top.slopes.mean[:, None] * rung.loss_gradients(asked[0]), rtol=1e-9
    )
    low, high = top.interval(asked, 0.9, of_a_run=True)
    assert np.all((low < top.mean(asked)) & (top.mean(asked) < high))
    assert top.sample(asked[:6], 50, np.random.default_rng(0)).shape == (50, 6)


def test_one_run_is_refused(small):
    with pytest.raises(ValueError, match="1 runs of a larger scale; 2 or more"):
        ladder.climb(small, drawn(0, 1), larger(drawn(0, 1)))


def test_calibration_holds_what_is_wanted_and_spreads_over_good_mixtures(small):
    natural, chosen = np.array([0.4, 0.2, 0.1, 0.3]), np.array([0.1, 0.5, 0.3, 0.1])
    wanted = {"chosen": chosen, "natural": natural, "uniform": np.full(4, 0.25), "again": natural}
    made = ladder.calibration(small, WHOLE, wanted, 7, seed=1)
    assert made.shape == (7, 4)
    np.testing.assert_array_equal(made[:3], [chosen, natural, np.full(4, 0.25)])  # each once
    np.testing.assert_allclose(made.sum(axis=1), 1.0)
    assert len(surrogate.same_mixture(made)) == 7
    np.testing.assert_array_equal(made, ladder.calibration(small, WHOLE, wanted, 7, seed=1))
    told, pool = small.mean(made[3:]), small.mean(drawn(12, 2000))
    assert np.all(told < np.median(pool))  # nobody would choose the others
    assert np.all(np.ptp(small.losses(made), axis=0) > np.std(small.losses(drawn(12, 2000)), axis=0))
    np.testing.assert_array_equal(ladder.calibration(small, WHOLE, wanted, 2, seed=1), [chosen, natural])


def test_calibration_keeps_the_widened_limits(small):
    tight = Limits(law.SOURCES, np.array([0.2, 0.2, 0.1, 0.1]), np.array([0.4, 0.4, 0.3, 0.3]))
    made = ladder.calibration(small, tight, {"chosen": np.full(4, 0.25)}, 6, seed=2)
    assert all(tight.widened().contains(one) for one in made)


def test_rank_risk_is_near_a_half_for_twins_and_small_for_the_clearly_worse(rung):
    chosen = optimum.minimise(rung, WHOLE, np.full(4, 0.25), np.random.default_rng(0))
    twin = WHOLE.project(chosen + np.array([0.004, -0.004, 0.002, -0.002]))
    worst = np.array([0.97, 0.01, 0.01, 0.01])
    found = rank_risk.rivals(rung, chosen, {"same": chosen, "twin": twin, "worst": worst})
    assert found["same"] == 0.0
    assert 0.1 < found["twin"] < 0.6
    assert found["worst"] < 0.01
    assert rank_risk.rivals(rung, chosen, {}) == {}


def test_rank_risk_is_the_share_of_worlds_in_which_the_rival_is_better(small):
    """Truth drawn from the prior of slopes: said risks, gathered, are as often true."""
    said, true = [], []
    target = np.array([0.0, 0.5, 0.0, 0.5])
    for seed in range(60):
        rng = np.random.default_rng([9, seed])
        real = np.exp(0.3 * rng.standard_normal(4))
        runs, (one, other) = rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.full(4, 8.0), 2)
        made = ladder.climb(small, runs, larger(runs, rng, real)).aimed(target)
        said.append(rank_risk.rivals(made, one, {"other": other})["other"])
        true.append(
            float((larger(other[None], slopes=real) @ target)[0] < (larger(one[None], slopes=real) @ target)[0])
        )
    assert abs(np.mean(said) - np.mean(true)) < 0.1
    brier = np.mean((np.array(said) - np.array(true)) ** 2)
    assert brier < 0.6 * np.mean(true) * (1 - np.mean(true))


def test_the_rung_s_table_says_how_its_runs_are_told_without_themselves(small):
    runs = drawn(13, 6)
    measured = larger(runs, np.random.default_rng(6))
    made = ladder.climb(small, runs, measured)
    table = rank_risk.rung_table(made, law.SOURCES, runs, measured, 0.9)
    assert table["runs"] == 6 and set(table["slopes"]) == set(law.SOURCES)
    assert all(low < table["slopes"][name] < high for name, (low, high) in table["intervals"].items())
    told = rank_risk.without_each(made, runs, measured)
    first = ladder.climb(small, runs[1:], measured[1:]).losses(runs[:1])[0]
    np.testing.assert_allclose(told[0], first)
    assert table["error"] == pytest.approx(np.sqrt(np.mean(((told - measured) @ TARGET) ** 2)))
    assert table["spearman"] > 0.8
    few = rank_risk.rung_table(ladder.climb(small, runs[:2], measured[:2]), law.SOURCES, runs[:2], measured[:2], 0.9)
    assert few["spearman"] is None and few["error"] is None
