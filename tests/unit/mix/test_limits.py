"""Limits: the projection never leaves them and is the nearest point; an empty region is refused with figures."""

import law
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.errors import RecipeError
from orfevre.mix import limits
from orfevre.mix.limits import Limits
from orfevre.mix.optimum import settle


@st.composite
def regions(draw):
    """Random limits that leave at least one mixture, tight and wide."""
    size = draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inside = rng.dirichlet(np.full(size, draw(st.sampled_from([0.2, 1.0, 5.0]))))
    low = inside * rng.uniform(size=size) * rng.integers(0, 2, size)
    high = np.minimum(1.0, inside + rng.exponential(draw(st.sampled_from([1e-9, 0.01, 1.0])), size))
    return Limits(tuple(f"s{n}" for n in range(size)), low, high), rng


@settings(max_examples=300, deadline=None)
@given(regions())
def test_projection_keeps_every_limit(region):
    bounds, rng = region
    points = rng.normal(0, rng.choice([0.1, 1.0, 100.0]), (20, len(bounds.low)))
    projected = bounds.project(points)
    assert all(bounds.contains(point) and bounds.contains(settle(point, bounds)) for point in projected)
    np.testing.assert_allclose(bounds.project(projected), projected, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(regions())
def test_projection_is_the_nearest(region):
    bounds, rng = region
    point = rng.normal(0, 1, len(bounds.low))
    nearest = bounds.project(point)
    others = bounds.project(rng.normal(0, 1, (50, len(bounds.low))))
    assert np.all(np.sum((others - point) ** 2, axis=1) >= np.sum((nearest - point) ** 2) - 1e-9)


def test_limits_are_the_tightest_of_share_and_supply():
    recipe = law.make_recipe(2_000_000, min_weights={"docs": 0.1}, max_weights={"web": 0.35})
    found = limits.of_recipe(recipe, law.TOKENS)
    np.testing.assert_allclose(found.low, [0, 0, 0.1, 0])
    np.testing.assert_allclose(found.high, [0.8, 0.4, 0.2, 0.35])  # tokens x 4 epochs / 2 M, but for web


def test_exhausted_supply_names_every_limit_and_the_remedy():
    with pytest.raises(RecipeError) as caught:
        limits.of_recipe(law.make_recipe(5_000_000), law.TOKENS)
    message = str(caught.value)
    assert "0.8000, less than 1" in message
    for part in ("books: 0.3200 (400,000 tokens x max_epochs 4)", "docs: 0.0800", "train.tokens to 4,000,000"):
        assert part in message


def test_max_weights_that_leave_no_mixture_are_named():
    recipe = law.make_recipe(max_weights=dict.fromkeys(law.SOURCES, 0.2))
    with pytest.raises(RecipeError, match=r"mix\.max_weights\.code = 0\.2"):
        limits.of_recipe(recipe, law.TOKENS)


def test_a_minimum_beyond_the_supply_is_named():
    recipe = law.make_recipe(4_000_000, min_weights={"docs": 0.2})
    with pytest.raises(RecipeError, match=r"mix\.min_weights\.docs = 0\.2.*400,000.*max_epochs to 8\.0.*2,000,000"):
        limits.of_recipe(recipe, law.TOKENS)


def test_limits_that_leave_exactly_one_mixture():
    recipe = law.make_recipe(4_000_000)  # every source four times, no more
    found = limits.of_recipe(recipe, law.TOKENS)
    np.testing.assert_allclose(found.project(np.full(4, 0.25)), [0.4, 0.2, 0.1, 0.3])


def test_binding_names_the_limits_that_hold_it():
    bounds = Limits(("a", "b", "c"), np.array([0.0, 0.2, 0.0]), np.array([1.0, 1.0, 0.5]))
    assert bounds.binding(np.array([0.3, 0.2, 0.5])) == ["b", "c"]
    assert bounds.binding(np.array([0.7, 0.3, 0.0])) == []
