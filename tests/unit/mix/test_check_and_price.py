"""Verdicts say plainly who won; the price is exact on an exact power law and absent where there is none."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from orfevre.mix import check, price
from orfevre.recipe import ARMS

SEEDS = np.array([0.0, 0.05, -0.03])  # what a seed does to every arm alike


def arms(chosen, natural, uniform, noise=1e-4):
    rng = np.random.default_rng(0)
    levels = {"chosen": chosen, "natural": natural, "uniform": uniform}
    return {arm: level + SEEDS + noise * rng.standard_normal(3) for arm, level in levels.items()}


def test_verdict_when_the_chosen_mixture_wins():
    verdict = check.judge(arms(1.9, 2.1, 2.0), 0.9)
    assert verdict.wins
    assert verdict.text.startswith("The chosen mixture wins")
    assert verdict.against["natural"].gain == pytest.approx(0.2, abs=1e-3)
    assert verdict.against["uniform"].low > 0.09  # pairing takes the seeds' 0.05 out


def test_verdict_when_the_chosen_mixture_loses():
    verdict = check.judge(arms(2.2, 2.1, 2.0), 0.9)
    assert not verdict.wins
    assert "does not win: it loses" in verdict.text
    assert "loses to the natural mixture by -0.1" in verdict.text


def test_verdict_when_nothing_can_be_told():
    verdict = check.judge(arms(2.0, 2.001, 2.002, noise=0.05), 0.9)
    assert not verdict.wins
    assert "does not win beyond doubt" in verdict.text
    assert "cannot be told from the natural" in verdict.text


def test_a_mixture_made_by_hand_is_a_rival_like_the_others():
    measured = arms(1.9, 2.1, 2.0) | {"handmade": 1.85 + SEEDS}
    verdict = check.judge(measured, 0.9)
    assert list(verdict.against) == ["natural", "uniform", "handmade"]
    assert not verdict.wins
    assert "loses to the handmade mixture by -0.05" in verdict.text
    assert check.noise(measured)[1] == 6  # (4 arms - 1) x (3 seeds - 1)


def test_gain_is_the_paired_t_interval_but_for_the_pooled_noise():
    measured = arms(1.9, 2.1, 2.0, noise=0.01)
    one = check.gain(measured, "natural", 0.9)
    paired = ttest_rel(measured["natural"], measured["chosen"]).confidence_interval(0.9)
    assert one.gain == pytest.approx((paired.low + paired.high) / 2)
    differences = [
        measured[a] - measured[b] for a, b in (("chosen", "natural"), ("chosen", "uniform"), ("natural", "uniform"))
    ]
    pooled = np.mean([np.var(difference, ddof=1) for difference in differences]) / 2
    assert check.noise(measured) == (pytest.approx(pooled**0.5), 4)


def test_gain_intervals_hold_what_they_promise():
    rng, held = np.random.default_rng(5), 0
    for _ in range(1000):
        seeds = 0.1 * rng.standard_normal(2)
        measured = {
            arm: level + seeds + 0.01 * rng.standard_normal(2) for arm, level in zip(ARMS, (1, 1.1, 1.2), strict=True)
        }
        one = check.gain(measured, "natural", 0.9)
        held += one.low <= 0.1 <= one.high
    assert 0.86 < held / 1000 < 0.94


def power_law(exponent, budgets=(0.5, 1.0, 2.0), floor=0.0):
    return {budget: np.full(2, floor + 2.0 * budget**-exponent) for budget in budgets}


@pytest.mark.parametrize("ratio", [1.3, 1.9, 3.0])
def test_price_is_exact_on_a_power_law(ratio):
    found = price.price(power_law(0.1), np.full(2, 2.0 * ratio**-0.1), (0.0, 2), 0.9, 1)
    assert found.compute_ratio == pytest.approx(ratio)
    assert (found.low, found.high) == (pytest.approx(ratio), pytest.approx(ratio))
    assert found.exponent == pytest.approx(0.1)
    assert found.extrapolated == (ratio > 2)
    assert ("beyond the largest" in found.text) == (ratio > 2)


def test_price_interval_holds_the_truth_and_widens_with_noise():
    narrow, wide = (price.price(power_law(0.1), np.full(2, 2.0 * 1.5**-0.1), (s, 2), 0.9, 1) for s in (1e-3, 1e-2))
    assert narrow.low < 1.5 < narrow.high
    assert narrow.high - narrow.low < wide.high - wide.low


def test_no_price_when_the_chosen_mixture_loses():
    found = price.price(power_law(0.1), np.full(2, 2.1), (0.001, 2), 0.9, 1)
    assert found.compute_ratio is None
    assert "is not below the natural one" in found.text


def test_no_price_when_more_compute_does_not_help():
    found = price.price(power_law(-0.01), np.full(2, 1.8), (0.001, 2), 0.9, 1)
    assert found.compute_ratio is None
    assert found.extrapolated
    assert "does not reach" in found.text


def test_four_budgets_find_the_floor_under_which_there_is_no_price():
    natural = power_law(0.5, (0.25, 0.5, 1.0, 2.0, 4.0), floor=1.5)
    assert price.fit(
        np.array(sorted(natural)), np.array([natural[b][0] for b in sorted(natural)])
    ).floor == pytest.approx(1.5, abs=0.05)
    assert price.price(natural, np.full(2, 1.3), (1e-4, 2), 0.9, 1).compute_ratio is None


def test_no_budgets_no_price():
    found = price.price(power_law(0.1, (1.0,)), np.full(2, 1.8), (0.001, 2), 0.9, 1)
    assert found.compute_ratio is None
    assert "mix.price_budgets" in found.text


def test_runs_share_seeds_and_budget_one_is_the_check():
    mixture = {"a": 1.0}
    runs = price.runs(mixture, (0.5, 1.0, 2.0), [7, 8])
    assert [(run.budget, run.seed) for run in runs] == [(0.5, 7), (0.5, 8), (2.0, 7), (2.0, 8)]
    assert len({run.run for run in [*runs, *check.runs(dict.fromkeys(ARMS, mixture), [7, 8])]}) == 10
