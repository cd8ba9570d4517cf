"""The design: on the simplex, within the widened limits, better spread than chance, the same for the same seed."""

import numpy as np
import pytest

from orfevre.mix.design import candidates, design, farthest_first
from orfevre.mix.limits import Limits

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
