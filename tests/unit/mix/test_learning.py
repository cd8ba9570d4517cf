"""The learning curve: better with more runs, told on mixtures that were not seen, the last point that of all runs."""

import law
import numpy as np
import pytest

from orfevre.mix import learning, optimum, surrogate
from orfevre.mix.design import design
from orfevre.mix.limits import Limits

TARGET = np.array([0.0, 0.7, 0.3, 0.0])
LIMITS = Limits(law.SOURCES, np.zeros(4), np.full(4, 0.6))


@pytest.fixture(scope="module")
def runs():
    tried = design(np.array([0.4, 0.2, 0.1, 0.3]), TARGET, LIMITS, 16, 0)
    tried = np.vstack([tried, tried[:2], tried[:2]])
    return tried, law.loss_rows(tried) + law.NOISE * np.random.default_rng(0).standard_normal((len(tried), 4))


@pytest.fixture(scope="module")
def curve(runs):
    return learning.curve(*runs, TARGET, LIMITS)


def test_a_point_for_each_number_of_runs(curve):
    assert [point["runs"] for point in curve] == [8, 12, 16, 20]
    # after 16 only the repeats are left, whose mixtures were seen
    assert [point["told"] for point in curve] == ["others", "others", "folds", "folds"]


def test_the_prediction_gets_better(curve):
    assert curve[-1]["error"] < 0.5 * curve[0]["error"]
    assert curve[-1]["spearman"] > 0.9


def test_a_point_knows_nothing_of_later_runs(runs, curve):
    weights, losses = runs
    changed = losses.copy()
    changed[12:] += np.random.default_rng(1).uniform(1, 2, changed[12:].shape)
    again = learning.curve(weights, changed, TARGET, LIMITS)
    assert [point["best"] for point in again[:2]] == [point["best"] for point in curve[:2]]
    assert again[2]["best"] != curve[2]["best"]
    assert again[0]["error"] > curve[0]["error"]  # it is told on them, though


def test_losses_outside_the_target_do_not_count(runs, curve):
    weights, losses = runs
    other = losses.copy()
    other[:, [0, 3]] = np.random.default_rng(2).uniform(1, 2, (len(losses), 2))
    assert learning.curve(weights, other, TARGET, LIMITS) == curve


def test_the_last_point_is_the_fit_to_all_runs(runs, curve):
    weights, losses = runs
    whole = surrogate.fit(weights, losses, TARGET)
    best = optimum.minimise(whole, LIMITS, weights[0], np.random.default_rng(0))
    least = float(whole.mean(best[None])[0])
    last = learning.curve(weights, losses, TARGET, LIMITS, whole)[-1]
    assert least - 1e-6 <= last["best"] <= least + 0.005
    told = whole.told(0.9)[0]
    assert last["error"] == pytest.approx(np.sqrt(np.mean((told - losses @ TARGET) ** 2)))
    assert last["error"] == pytest.approx(curve[-1]["error"], rel=0.2)


@pytest.mark.parametrize(
    ("num_runs", "num_losses", "wanted"),
    [
        (8, 2, [8]),
        (70, 2, [8, 12, 16, 24, 32, 48, 64, 70]),
        (70, 9, [8, 16, 32, 64, 70]),
        (100, 2, [8, 12, 16, 24, 32, 48, 64, 96, 100]),
    ],
)
def test_counts(num_runs, num_losses, wanted):
    weights = np.random.default_rng(0).dirichlet(np.ones(3), num_runs)
    assert learning.counts(weights, num_losses) == wanted


def test_a_beginning_of_repeats_alone_is_passed_over():
    weights = np.vstack([np.tile([0.5, 0.5], (9, 1)), np.random.default_rng(0).dirichlet(np.ones(2), 11)])
    assert learning.counts(weights, 1) == [12, 16, 20]


def test_runs_of_batches_are_not_the_others_a_point_is_told_on(runs):
    weights, losses = runs
    near = np.vstack([weights, np.tile(weights[:1], (6, 1)) + 0.001 * np.arange(6)[:, None] * [1, -1, 0, 0]])
    measured = np.vstack([losses, law.loss_rows(near[len(weights) :])])
    designed = [True] * len(weights) + [False] * 6
    points = learning.curve(near, measured, TARGET, LIMITS, designed=designed)
    told = {point["runs"]: point["told"] for point in points}
    assert told[12] == "others"
    assert told[16] == "folds"  # of the design only repeats are left
    assert {point["told"] for point in learning.curve(near, measured, TARGET, LIMITS) if point["runs"] == 16} == {
        "others"
    }
