"""The design: on the simplex, within the widened limits, better spread than chance, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.mix.design import around, candidates, design, farthest_first
from orfevre.mix.limits import Cap, Limits

NATURAL = np.array([0.5, 0.25, 0.15, 0.08, 0.02])
TARGET = np.array([0.0, 0.0, 0.5, 0.5, 0.0])
BOUNDS = Limits(tuple("abcde"), np.array([0.1, 0, 0, 0, 0]), np.array([0.4, 0.3, 0.3, 0.3, 0.1]))


def least_distance(mixtures):
    roots = np.sqrt(mixtures)
    gaps = np.linalg.norm(roots[:, None] - roots[None], axis=2)
    return np.min(gaps[~np.eye(len(roots), dtype=bool)])


@pytest.mark.parametrize("seed", range(5))
def test_design_is_within_the_widened_limits_but_for_the_natural_mixture(seed):
    mixtures = design(NATURAL, TARGET, BOUNDS, 24, seed)
    region = BOUNDS.widened()
    assert mixtures.shape == (24, 5)
    np.testing.assert_array_equal(mixtures[0], NATURAL)
    assert all(region.contains(mixture) for mixture in mixtures[1:])


def test_uniform_and_target_are_in_the_design():
    mixtures = design(NATURAL, TARGET, BOUNDS.simplex(), 10, 0)
    np.testing.assert_allclose(mixtures[1], np.full(5, 0.2))
    np.testing.assert_allclose(mixtures[2], TARGET, atol=1e-12)


def test_an_unusable_source_is_never_drawn():
    bounds = Limits(tuple("abcde"), np.zeros(5), np.array([1, 1, 1, 1, 0.0]))
    mixtures = design(np.array([0.4, 0.3, 0.2, 0.1, 0]), TARGET, bounds, 16, 0)
    np.testing.assert_array_equal(mixtures[:, 4], 0)


@pytest.mark.parametrize("seed", range(5))
def test_design_fills_space_better_than_chance(seed):
    chosen = design(NATURAL, TARGET, BOUNDS, 24, seed)
    by_chance = candidates(NATURAL, BOUNDS.widened(), 24, np.random.default_rng(seed))
    assert least_distance(chosen) > 1.5 * least_distance(by_chance)


def test_same_seed_same_design():
    np.testing.assert_array_equal(design(NATURAL, TARGET, BOUNDS, 12, 7), design(NATURAL, TARGET, BOUNDS, 12, 7))
    assert np.any(design(NATURAL, TARGET, BOUNDS, 12, 7) != design(NATURAL, TARGET, BOUNDS, 12, 8))


def test_farthest_first_takes_the_corners_of_a_line():
    line = np.array([[0.5, 0.5], [0.4, 0.6], [1.0, 0.0], [0.0, 1.0], [0.6, 0.4]])
    assert sorted(farthest_first(line, 3)) == [0, 2, 3]


def test_no_point_is_taken_twice_while_others_are_left():
    one = np.tile([0.5, 0.5], (5, 1))
    assert sorted(farthest_first(one, 5)) == [0, 1, 2, 3, 4]
    assert sorted(farthest_first(np.vstack([one, [[1.0, 0.0]]]), 6)) == [0, 1, 2, 3, 4, 5]


@st.composite
def problems(draw):
    """A natural mixture, a target and limits that some mixture keeps: boxes from a point to the simplex, sources
    without text, caps on up to three groups, from a hundredth wide."""
    size = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    natural, inside = rng.dirichlet(np.ones(size)), rng.dirichlet(np.full(size, draw(st.sampled_from([0.2, 1.0, 5.0]))))
    low = inside * rng.uniform(size=size) * rng.integers(0, 2, size)
    high = np.minimum(1.0, inside + rng.exponential(draw(st.sampled_from([1e-9, 0.01, 1.0])), size))
    empty = rng.uniform(size=size) < draw(st.sampled_from([0.0, 0.3]))
    empty[np.argmax(inside)] = False
    inside = np.where(empty, 0.0, inside) / np.sum(inside[~empty])
    low, high = np.where(empty, 0.0, np.minimum(low, inside)), np.where(empty, 0.0, np.maximum(high, inside))
    caps = []
    for number in range(draw(st.integers(0, 3))):
        members = (rng.uniform(size=size) < 0.5).astype(float)
        members[rng.integers(size)] = 1.0
        total, room = float(members @ inside), rng.choice([0.01, 0.1, 0.5])
        caps.append(Cap(f"g{number}", members, max(0.0, total - room), min(1.0, total + 0.3 * room)))
    return natural, rng.dirichlet(np.ones(size)), Limits(tuple(f"s{n}" for n in range(size)), low, high, tuple(caps))


def holds_what_it_must(problem):
    """The natural mixture as it is, the centroid and the target as near as the widened limits let them, nothing outside
    of those; and mixtures near the best of them, as batches try, within the limits themselves."""
    natural, target, limits = problem
    region = limits.widened()
    mixtures = design(natural, target, limits, 5, 0)
    assert mixtures.shape == (5, len(natural))
    np.testing.assert_array_equal(mixtures[0], natural)
    assert all(region.contains(mixture) for mixture in mixtures[1:])
    usable = (region.high > 0) / np.count_nonzero(region.high)
    for wanted in (region.project(usable), region.project(target)):
        assert np.min(np.max(np.abs(mixtures - wanted), axis=1)) <= 1e-6
    near = around(limits.project(target), limits, 20, (0.003, 0.1), np.random.default_rng(0))
    assert all(limits.contains(mixture) for mixture in near)


test_a_design_keeps_every_limit = settings(max_examples=20, deadline=None)(given(problems())(holds_what_it_must))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(problems())
def test_ten_thousand_designs_without_a_violation(problem):
    holds_what_it_must(problem)
