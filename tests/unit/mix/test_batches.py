"""Batches: allowed, apart, the same for the same runs; they win more than the design does; stops mean what they say."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import law
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.mix import batches, optimum, surrogate
from orfevre.mix.batches import APART, Stakes
from orfevre.mix.design import around, design
from orfevre.mix.limits import Cap, Limits
from orfevre.recipe import Batches

WHOLE = Limits(law.SOURCES, np.zeros(4), np.ones(4))
TIGHT = Limits(
    law.SOURCES,
    np.array([0.1, 0.05, 0.0, 0.0]),
    np.array([0.4, 0.5, 0.2, 0.6]),
    (Cap("prose", np.array([1.0, 0, 0, 1]), 0.3, 0.45), Cap("code", np.array([0.0, 1, 1, 0]), 0.0, 0.6)),
)
TARGET = np.array([0.7, 0.3])


def measured(mixtures, seed=0):
    """Losses of code and docs, [m, 2]."""
    noise = law.NOISE * np.random.default_rng(seed).standard_normal((len(mixtures), 2))
    return law.loss_rows(mixtures)[:, [1, 2]] + noise


@pytest.fixture(scope="module")
def tried():
    return design(np.array([0.4, 0.2, 0.1, 0.3]), np.array([0, 0.7, 0.3, 0]), WHOLE, 16, 0)


@pytest.fixture(scope="module")
def fitted(tried):
    return surrogate.fit(tried, measured(tried), TARGET)


def gaps(mixtures, others):
    return np.linalg.norm(np.sqrt(mixtures)[:, None] - np.sqrt(others), axis=2)


@pytest.mark.parametrize("limits", [WHOLE, TIGHT], ids=["free", "tight"])
def test_a_batch_is_allowed_new_and_apart(fitted, tried, limits):
    found = batches.next_batch(fitted, limits, tried, 5, Batches(), 1)
    assert found.mixtures.shape == (5, 4)
    assert all(limits.contains(mixture) for mixture in found.mixtures)
    assert np.min(gaps(found.mixtures, tried)) >= APART
    assert np.min(gaps(found.mixtures, found.mixtures)[~np.eye(5, dtype=bool)]) >= APART
    assert 0.0 <= found.within <= 1.0
    assert found.improvement > 0.0


def test_same_runs_same_batch(fitted, tried):
    first, again = (batches.next_batch(fitted, TIGHT, tried, 3, Batches(), 1) for _ in range(2))
    np.testing.assert_array_equal(first.mixtures, again.mixtures)
    assert (first.within, first.improvement, first.stop) == (again.within, again.improvement, again.stop)


def test_a_batch_lies_where_the_loss_is_low(fitted, tried):
    """Nearer the law's optimum than the design does, on average."""
    found = batches.next_batch(fitted, WHOLE, tried, 4, Batches(), 1)
    reached = law.loss_rows(found.mixtures)[:, [1, 2]] @ TARGET
    assert np.mean(reached) < np.quantile(law.loss_rows(tried)[:, [1, 2]] @ TARGET, 0.25)


def test_ceilings_are_kept_as_far_as_can_be_told(fitted, tried):
    best = optimum.minimise(fitted, WHOLE, tried[0], np.random.default_rng(0))
    ceiling = np.array([np.inf, float(fitted.losses(best[None])[0, 1]) - 0.1])
    found = batches.next_batch(fitted, WHOLE, tried, 4, Batches(), 1, Stakes(ceilings=ceiling))
    assert np.max(fitted.losses(found.mixtures) - ceiling) <= 1e-5


def test_a_batch_from_a_pool_is_rows_of_it(fitted, tried):
    pool = np.vstack([tried[:4], np.random.default_rng(0).dirichlet(np.ones(4), 30)])
    rng = np.random.default_rng(1)
    found = batches.choose(fitted, WHOLE, pool, tried, Batches(runs=6), rng, Stakes())
    np.testing.assert_array_equal(found.mixtures, pool[found.places])
    assert len(set(found.places)) == 6
    assert not set(found.places) & set(range(4))  # what was run


@pytest.mark.parametrize("seed", range(3))
def test_a_pool_of_two_is_taken_whole(fitted, tried, seed):
    pool = np.random.default_rng(seed).dirichlet(np.ones(4), 2)
    found = batches.choose(fitted, WHOLE, pool, tried, Batches(runs=2), np.random.default_rng(seed), Stakes())
    assert sorted(found.places) == [0, 1]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_greedy_wins_nearly_as_much_as_the_best_batch(seed):
    """At least 1 - 1/e of it, for what a batch wins is submodular."""
    rng = np.random.default_rng(seed)
    wins = np.maximum(rng.standard_normal((40, 7)) @ rng.standard_normal((7, 7)), 0.0)
    roots = 10.0 * np.eye(7)  # all far apart
    chosen = batches.greedy(wins, roots, 3, roots[:1] - 20.0)
    best = max(np.mean(np.max(wins[:, list(three)], axis=1)) for three in itertools.combinations(range(7), 3))
    assert np.mean(np.max(wins[:, chosen], axis=1)) >= (1 - np.exp(-1)) * best
    assert chosen[0] == np.argmax(np.mean(wins, axis=0))


def test_greedy_takes_no_two_that_win_together():
    wins = np.array([[3.0, 2.9, 0.0], [0.0, 0.0, 1.0]])  # the second adds nothing to the first
    assert batches.greedy(wins, np.eye(3), 2, np.zeros((1, 3))) == [0, 2]


def test_greedy_goes_far_where_nothing_can_be_won():
    roots = np.array([[0.0], [0.1], [1.0], [0.5]])
    assert batches.greedy(np.zeros((5, 4)), roots, 3, roots[:1]) == [2, 3, 1]


@given(st.floats(1e-6, 0.5), st.floats(0.03, 0.5))
def test_worth_is_the_compute_that_lowers_the_loss_so_much(share, exponent):
    stakes = Stakes(target_flops=1e20, proxy_flops=1e15)
    more = 1.0 + batches.worth(2.0 * share, 2.0, exponent, stakes) / 1e20
    assert more**-exponent == pytest.approx(1.0 - share, rel=1e-9)


def test_it_stops_when_sure_and_when_a_proxy_is_too_dear():
    stakes, wanted = Stakes(1e18, 1e15), Batches()
    assert "with probability 96%, more than the 95% asked" in batches.stop_text(0.96, 0.1, 2.0, wanted, stakes)
    assert batches.stop_text(0.94, 0.01, 2.0, wanted, stakes) == ""  # a tenth more compute of the target run
    text = batches.stop_text(0.5, 1e-5, 2.0, wanted, stakes)  # 1e14 FLOPs of it
    assert "is expected to win 0.00001 of the loss, worth 1e+14 FLOPs of the target run, and costs 1e+15" in text
    assert batches.stop_text(0.5, 1e-5, 2.0, wanted, Stakes()) == ""  # no one said what a proxy costs


def test_nothing_is_left_to_win_where_one_mixture_is_allowed(fitted, tried):
    only = np.array([0.1, 0.6, 0.2, 0.1])
    found = batches.next_batch(fitted, Limits(law.SOURCES, only, only), tried, 2, Batches(), 1)
    assert found.within == 1.0
    assert found.improvement < 1e-4  # the draws' jitter
    assert "with probability 100%" in found.stop
    np.testing.assert_allclose(found.mixtures, [only, only])


@st.composite
def regions(draw):
    """Limits on the law's four sources, with and without a group, that some mixture keeps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inside = rng.dirichlet(np.full(4, draw(st.sampled_from([0.3, 1.0, 5.0]))))
    low = inside * rng.uniform(size=4) * rng.integers(0, 2, 4)
    high = np.minimum(1.0, inside + rng.exponential(draw(st.sampled_from([1e-9, 0.02, 0.5])), 4))
    members = np.array([1.0, 1.0, 0.0, 0.0])
    total = float(members @ inside)
    cap = Cap("two", members, max(0.0, total - 0.05), min(1.0, total + 0.01))
    return Limits(law.SOURCES, low, high, draw(st.sampled_from([(), (cap,)])))


def no_violation(fitted, tried, limits):
    found = batches.next_batch(fitted, limits, tried, 4, Batches(), 1)
    assert found.mixtures.shape == (4, 4)
    assert all(limits.contains(mixture) for mixture in found.mixtures)


@given(limits=regions())
@settings(max_examples=5, deadline=None)
def test_no_batch_leaves_the_limits(fitted, tried, limits):
    no_violation(fitted, tried, limits)


@pytest.mark.slow
@given(limits=regions())
@settings(max_examples=1000, deadline=None)
def test_a_thousand_batches_without_a_violation(fitted, tried, limits):
    no_violation(fitted, tried, limits)


@pytest.mark.slow
def test_the_batch_does_not_depend_on_the_number_of_threads():
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import law, numpy as np\n"
        "from orfevre.mix import batches, surrogate\nfrom orfevre.mix.design import design\n"
        "from orfevre.mix.limits import Limits\nfrom orfevre.recipe import Batches\n"
        "whole = Limits(law.SOURCES, np.zeros(4), np.ones(4))\n"
        "tried = design(np.full(4, .25), np.eye(4)[1], whole, 24, 0)\n"
        "fitted = surrogate.fit(tried, law.loss_rows(tried), np.full(4, .25))\n"
        "print(batches.next_batch(fitted, whole, tried, 4, Batches(), 1).mixtures.round(6).tolist())"
    )
    said = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        run = [sys.executable, "-c", script, str(Path(__file__).parent)]
        chosen = os.environ | dict.fromkeys(names, threads)
        said.append(subprocess.run(run, env=chosen, check=True, capture_output=True, text=True).stdout)
    assert said[0] == said[1]


class Emulator:
    """Three losses of eight sources by random effective-data laws; each run has noise of 3 % of the target's spread."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng([seed, 9])
        self.worth = rng.exponential(0.3, (3, 8)) * (rng.uniform(size=(3, 8)) < 0.6) + 0.02
        self.power, self.fall = rng.uniform(0.3, 0.8, (3, 8)), rng.uniform(0.2, 0.6, 3)
        self.target, self.natural = rng.dirichlet(np.ones(3)), rng.dirichlet(np.full(8, 2.0))
        self.limits = Limits(tuple("abcdefgh"), np.zeros(8), np.ones(8))
        anywhere = rng.dirichlet(np.ones(8), 20_000)
        self.spread = float(np.std(self.losses(anywhere) @ self.target))
        best = anywhere[np.argmin(self.losses(anywhere) @ self.target)]
        for reach in (0.1, 0.05, 0.02, 0.01, 0.005, 0.002) * 3:
            near = np.vstack([best, around(best, self.limits, 1000, (reach / 3, reach), rng)])
            best = near[np.argmin(self.losses(near) @ self.target)]
        self.least = float((self.losses(best[None]) @ self.target)[0])

    def losses(self, mixtures):
        data = [(mixtures + 1e-3) ** power @ worth for power, worth in zip(self.power, self.worth, strict=True)]
        return 1.0 + (0.1 + np.stack(data, axis=1)) ** -self.fall

    def measure(self, mixtures):
        return self.losses(mixtures) + 0.03 * self.spread * self.rng.standard_normal((len(mixtures), 3))

    def regret(self, fitted, seed):
        """Of the mixture the fit prefers, in deviations of the target loss over even mixtures."""
        best = optimum.minimise(fitted, self.limits, self.natural, np.random.default_rng(seed))
        return float((self.losses(best[None]) @ self.target)[0] - self.least) / self.spread


@pytest.mark.slow
def test_batches_lower_the_regret_of_the_design_they_follow():
    """That they win more than as many runs of the design was measured and is not beyond doubt (docs/log.md)."""
    before, after = [], []
    for seed in range(16):
        truth = Emulator(seed)
        tried = design(truth.natural, truth.natural, truth.limits, 24, seed)
        losses = truth.measure(tried)
        fitted = surrogate.fit(tried, losses, truth.target)
        before.append(truth.regret(fitted, seed))
        for _ in range(2):
            found = batches.next_batch(fitted, truth.limits, tried, 4, Batches(), seed)
            tried, losses = np.vstack([tried, found.mixtures]), np.vstack([losses, truth.measure(found.mixtures)])
            fitted = surrogate.fit(tried, losses, truth.target)
        after.append(truth.regret(fitted, seed))
    print(f"regret before {np.mean(before):.4f}, after {np.mean(after):.4f}")
    assert np.mean(after) < 0.8 * np.mean(before)


@pytest.mark.slow
def test_a_stop_at_95_percent_is_right_about_as_often():
    right = []
    for seed in range(100, 124):
        truth = Emulator(seed)
        wanted = Batches(epsilon=0.03 * truth.spread)
        tried = design(truth.natural, truth.natural, truth.limits, 24, seed)
        losses = truth.measure(tried)
        for _ in range(6):
            fitted = surrogate.fit(tried, losses, truth.target)
            found = batches.next_batch(fitted, truth.limits, tried, 4, wanted, seed)
            if found.stop:
                right.append(truth.regret(fitted, seed) <= 0.03)
                break
            tried, losses = np.vstack([tried, found.mixtures]), np.vstack([losses, truth.measure(found.mixtures)])
    print(f"{len(right)} stops, {np.mean(right):.0%} right")
    assert len(right) >= 12
    assert np.mean(right) >= 0.85
