"""The triangle of three sources: its points are mixtures, its values are the surrogate's, and the three matter."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.mix import ternary

NAMES = ("a", "b", "c", "d", "e")


class Law:
    """Loss that falls with some sources and rises with others; known, so that the table can be checked."""

    def __init__(self, worth: list[float]) -> None:
        self.worth = np.array(worth)

    def mean(self, weights: np.ndarray) -> np.ndarray:
        return 1.0 - np.sqrt(np.maximum(weights, 0.0)) @ self.worth

    def interval(self, weights: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        return self.mean(weights) - 1 + confidence, self.mean(weights) + 1 - confidence


def explored(sources: Sequence[str], most: float = 1.0) -> dict[str, dict[str, list[float]]]:
    return {name: {"weight": [0.0, most]} for name in sources}


def test_the_three_are_those_that_would_be_missed_most_not_those_that_harm_most() -> None:
    law = Law([0.3, 0.5, 0.1, 0.2, -9.0])  # e can do the most to the loss, and has no share because of it
    assert ternary.three_that_matter(law, np.array([0.3, 0.3, 0.2, 0.2, 0.0])) == [1, 0, 3]


def test_what_rounding_left_is_not_missed() -> None:
    law = Law([0.3, 0.5, 0.1, -0.2, -9.0])
    assert ternary.three_that_matter(law, np.array([0.5, 0.4, 0.0, 0.1, 1e-17])) == [1, 0, 3]


def test_values_are_the_surrogates_where_others_keep_their_shares() -> None:
    law, mixture = Law([0.3, 0.5, 0.1, 0.2, 0.0]), np.array([0.3, 0.3, 0.05, 0.15, 0.2])
    found = ternary.table(law, mixture, NAMES, explored(NAMES), 0.9)
    assert found is not None and found["sources"] == ["b", "a", "d"]
    for point, told, low, high in zip(found["points"], found["predicted"], found["low"], found["high"], strict=True):
        whole = np.array([point[1], point[0], 0.05, point[2], 0.2])
        assert abs(whole.sum() - 1) < 1e-12
        assert abs(told - law.mean(whole[None])[0]) < 1e-12
        assert low < told < high


@settings(max_examples=60, deadline=None)
@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6).filter(lambda row: sum(row) > 0.1),
    most=st.floats(0.05, 1.0),
)
def test_points_stay_within_what_was_explored(shares: list[float], most: float) -> None:
    mixture = np.array(shares) / sum(shares)
    law = Law([0.1 * (place + 1) for place in range(len(mixture))])
    names = [str(place) for place in range(len(mixture))]
    found = ternary.table(law, mixture, names, explored(names, most), 0.9)
    if found is None:
        assert np.count_nonzero(mixture >= ternary.LEAST_SHARE) < 3 or most < 1.0
        return
    points = np.array(found["points"])
    assert np.all(points >= 0) and np.all(points <= most + 1e-9)
    np.testing.assert_allclose(points.sum(axis=1), found["together"], rtol=1e-9)


def test_there_is_no_triangle_of_two_sources() -> None:
    assert ternary.table(Law([0.1, 0.2]), np.array([0.4, 0.6]), NAMES[:2], explored(NAMES), 0.9) is None
    assert ternary.table(Law([0.1, 0.2, 0.3]), np.array([0.0, 1.0, 0.0]), NAMES[:3], explored(NAMES), 0.9) is None


def test_the_grid_is_whole() -> None:
    points = ternary.grid(15)
    assert len({tuple(row) for row in points.tolist()}) == 136
    np.testing.assert_allclose(points.sum(axis=1), 1.0)
