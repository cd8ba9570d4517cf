"""Limits: the projection never leaves them and is the nearest point; an empty region is refused with figures."""

import law
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.errors import RecipeError
from orfevre.mix import allowed
from orfevre.mix.limits import Cap, Limits
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


@st.composite
def grouped_regions(draw):
    """The same with caps on one to three groups, which some mixture keeps."""
    bounds, rng = draw(regions())
    inside = bounds.project(rng.dirichlet(np.ones(len(bounds.low))))
    caps = []
    for number in range(draw(st.integers(1, 3))):
        members = (rng.uniform(size=len(inside)) < 0.5).astype(float)
        members[rng.integers(len(inside))] = 1.0
        total, room = float(members @ inside), rng.choice([0.01, 0.1, 0.5])
        caps.append(Cap(f"g{number}", members, max(0.0, total - room), min(1.0, total + 0.3 * room)))
    return Limits(bounds.sources, bounds.low, bounds.high, tuple(caps)), rng


def keeps_groups(region):
    bounds, rng = region
    points = rng.normal(0, rng.choice([0.1, 1.0, 100.0]), (20, len(bounds.low)))
    projected = bounds.project(points)
    assert all(bounds.contains(point) and bounds.contains(settle(point, bounds)) for point in projected)
    np.testing.assert_allclose(bounds.project(projected), projected, atol=1e-6)
    assert bounds.middle is not None and bounds.contains(bounds.middle)
    assert all(bounds.widened().contains(point) for point in bounds.widened().project(points))


test_projection_keeps_groups = settings(max_examples=150, deadline=None)(given(grouped_regions())(keeps_groups))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(grouped_regions())
def test_ten_thousand_problems_without_a_violation(region):
    keeps_groups(region)


def test_groups_project_near_the_nearest():
    rng = np.random.default_rng(0)
    bounds = Limits(("a", "b", "c"), np.zeros(3), np.ones(3), (Cap("ab", np.array([1.0, 1, 0]), 0.2, 0.5),))
    pool = rng.dirichlet(np.ones(3), 20_000)
    pool = pool[(pool[:, :2].sum(axis=1) >= 0.2) & (pool[:, :2].sum(axis=1) <= 0.5)]
    for point in rng.dirichlet(np.ones(3), 50):
        found = bounds.project(point)
        least = np.sqrt(np.min(np.sum((pool - point) ** 2, axis=1)))
        assert np.sqrt(np.sum((found - point) ** 2)) <= least + 0.02


def test_a_recipe_s_groups_and_ratio_are_limits():
    groups = [{"name": "prose", "sources": ["books", "web"], "max_weight": 0.5}]
    found = allowed.of_recipe(law.make_recipe(groups=groups, trust_ratio=2.0), law.TOKENS)
    np.testing.assert_allclose(found.low, [0.2, 0.1, 0.05, 0.15])
    np.testing.assert_allclose(found.high, [0.8, 0.4, 0.2, 0.6])
    with pytest.raises(RecipeError) as caught:
        allowed.of_recipe(law.make_recipe(groups=[groups[0] | {"max_weight": 0.3}], trust_ratio=2.0), law.TOKENS)
    message = str(caught.value)
    assert "group prose: books, web between 0 and 0.3 together" in message
    assert "code: at most 0.4000 (mix.trust_ratio = 2)" in message
    assert "at least" not in message  # what is not in conflict is not named


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"groups": [{"name": "x", "sources": ["nowhere"]}]}, "nowhere is not a source"),
        ({"groups": [{"name": "web", "sources": ["web"]}]}, "names a source or another group"),
        ({"groups": [{"name": "x", "sources": ["web"], "min_weight": 0.5, "max_weight": 0.5}]}, "at least 0.01 above"),
        ({"trust_ratio": 0.5}, "nothing but the natural mixture"),
    ],
)
def test_groups_that_make_no_sense_are_refused(mix, message):
    with pytest.raises(RecipeError, match=message):
        law.make_recipe(**mix)


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
    found = allowed.of_recipe(recipe, law.TOKENS)
    np.testing.assert_allclose(found.low, [0, 0, 0.1, 0])
    np.testing.assert_allclose(found.high, [0.8, 0.4, 0.2, 0.35])  # tokens x 4 epochs / 2 M, but for web


def test_exhausted_supply_names_every_limit_and_the_remedy():
    with pytest.raises(RecipeError) as caught:
        allowed.of_recipe(law.make_recipe(5_000_000), law.TOKENS)
    message = str(caught.value)
    assert "0.8000, less than 1" in message
    for part in ("books: 0.3200 (400,000 tokens x max_epochs 4)", "docs: 0.0800", "train.tokens to 4,000,000"):
        assert part in message


def test_max_weights_that_leave_no_mixture_are_named():
    recipe = law.make_recipe(max_weights=dict.fromkeys(law.SOURCES, 0.2))
    with pytest.raises(RecipeError, match=r"mix\.max_weights\.code = 0\.2"):
        allowed.of_recipe(recipe, law.TOKENS)


def test_a_minimum_beyond_the_supply_is_named():
    recipe = law.make_recipe(4_000_000, min_weights={"docs": 0.2})
    with pytest.raises(RecipeError, match=r"mix\.min_weights\.docs = 0\.2.*400,000.*max_epochs to 8\.0.*2,000,000"):
        allowed.of_recipe(recipe, law.TOKENS)


def test_limits_that_leave_exactly_one_mixture():
    recipe = law.make_recipe(4_000_000)  # every source four times, no more
    found = allowed.of_recipe(recipe, law.TOKENS)
    np.testing.assert_allclose(found.project(np.full(4, 0.25)), [0.4, 0.2, 0.1, 0.3])


def test_binding_names_the_limits_that_hold_it():
    bounds = Limits(("a", "b", "c"), np.array([0.0, 0.2, 0.0]), np.array([1.0, 1.0, 0.5]))
    assert bounds.binding(np.array([0.3, 0.2, 0.5])) == ["b", "c"]
    assert bounds.binding(np.array([0.7, 0.3, 0.0])) == []
