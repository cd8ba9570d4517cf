"""A rung's runs as points: what each says is what the two scales say, of the target asked for."""

import numpy as np
from test_optimum import TARGET, fitted, truth

from orfevre.mix import ladder
from orfevre.mix.rung_points import points


def test_points_are_what_both_scales_say_and_what_was_measured() -> None:
    small = fitted(0)
    weights = np.random.default_rng(3).dirichlet(np.ones(4), 6)
    losses = truth(weights) * np.array([0.7, 1.3, 0.9, 1.1]) + 0.2
    for target in (TARGET, np.array([1.0, 0.0, 0.0, 0.0])):  # another target is asked of the rung than of the proxies
        rung = ladder.climb(small, weights, losses).aimed(target)
        found = points(rung, [f"l{n}" for n in range(6)], weights, losses, 0.9)
        assert [one["run"] for one in found] == [f"l{n}" for n in range(6)]
        np.testing.assert_allclose([one["told"] for one in found], small.losses(weights) @ target)
        np.testing.assert_allclose([one["measured"] for one in found], losses @ target)
        np.testing.assert_allclose([one["predicted"] for one in found], rung.losses(weights) @ target)
        assert all(one["low"] < one["predicted"] < one["high"] for one in found)
        missed = [abs(one["predicted"] - one["measured"]) for one in found]
        assert max(missed) < max(abs(one["told"] - one["measured"]) for one in found)
