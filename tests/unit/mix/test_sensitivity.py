"""Shadow prices and swaps on a known law: signs and sizes are those of the law itself."""

import law
import numpy as np
import pytest
from test_optimum import TARGET, WHOLE, fitted, truth

from orfevre.mix import optimum, sensitivity
from orfevre.mix.limits import Cap, Limits


@pytest.fixture(scope="module")
def model():
    return fitted(3, count=48)


def test_swaps_have_the_slopes_of_the_law(model):
    mixture = np.array([0.4, 0.1, 0.1, 0.4])
    change, ends = sensitivity.swaps(model, mixture, 0.9, np.random.default_rng(0))
    moved = np.array([sensitivity._moved(mixture, source) for source in range(4)])
    np.testing.assert_allclose(moved.sum(axis=1), 1.0)
    np.testing.assert_allclose(np.diag(moved) - mixture, sensitivity.STEP)
    real = (truth(moved) - truth(mixture[None])) @ TARGET
    np.testing.assert_allclose(change, real, atol=0.3 * np.max(np.abs(real)))
    assert np.all((ends[:, 0] <= change) & (change <= ends[:, 1]))
    assert np.argmin(change) == np.argmin(real)


def test_a_source_that_is_all_has_nothing_to_take_from():
    np.testing.assert_allclose(sensitivity._moved(np.array([1.0, 0.0]), 0), [1.0, 0.0])


def test_shadow_prices_are_those_of_limits_that_hold_it(model):
    bounds = Limits(law.SOURCES, np.array([0.3, 0.0, 0.0, 0.0]), np.array([1.0, 0.2, 1.0, 1.0]))
    rng = np.random.default_rng(0)
    best = optimum.minimise(model, bounds, np.full(4, 0.25), rng)
    found = {one.source: one for one in sensitivity.shadows(model, bounds, best)}
    assert set(found) == set(bounds.binding(best)) and "code" in found
    assert found["code"].side == "high" and found["code"].relaxed == pytest.approx(0.22)
    looser = Limits(law.SOURCES, bounds.low, np.array([1.0, 0.22, 1.0, 1.0]))
    again = optimum.minimise(model, looser, best, rng)
    gain = float(model.mean(best[None])[0] - model.mean(again[None])[0])
    assert found["code"].gain == pytest.approx(gain, abs=2e-4)
    assert found["code"].gain > 0
    assert all(one.gain >= 0 for one in found.values())


def test_no_limit_no_price(model):
    best = optimum.minimise(model, WHOLE, np.full(4, 0.25), np.random.default_rng(0))
    assert sensitivity.shadows(model, WHOLE, best) == []


def test_a_group_that_binds_has_its_price(model):
    cap = Cap("text", np.array([0.0, 1.0, 1.0, 0.0]), 0.0, 0.4)
    bounds = Limits(law.SOURCES, np.zeros(4), np.ones(4), (cap,))
    best = optimum.minimise(model, bounds, np.full(4, 0.25), np.random.default_rng(0))
    assert bounds.contains(best)
    assert best[1] + best[2] == pytest.approx(0.4, abs=1e-5)
    (found,) = sensitivity.shadows(model, bounds, best)
    assert (found.source, found.side, found.relaxed) == ("text", "high", pytest.approx(0.44))
    assert found.gain > 0
