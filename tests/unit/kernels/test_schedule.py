"""The C kernel and the heap agree, and every prefix follows the counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.kernels import schedule


@settings(max_examples=200)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=12).filter(any))
def test_every_prefix_follows_the_counts_within_one_sample(counts: list[int]) -> None:
    source_of, rank_of = schedule.spread(np.array(counts))
    total = sum(counts)
    so_far = np.cumsum(source_of[:, None] == np.arange(len(counts)), axis=0)
    assert np.all(np.abs(so_far - np.outer(np.arange(1, total + 1), counts) / total) < 1)
    assert np.array_equal(rank_of, so_far[np.arange(total), source_of] - 1)
    assert so_far[-1].tolist() == counts


@settings(max_examples=200)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=40).filter(any))
def test_the_heap_gives_the_same(counts: list[int]) -> None:
    if schedule._library() is None:
        pytest.skip("the C kernels are not built")
    for made, twin in zip(schedule.spread(np.array(counts)), schedule._heap(counts, sum(counts)), strict=True):
        assert np.array_equal(made, twin)


def test_many_equal_sources_beside_a_large_one_do_not_come_in_bursts() -> None:
    """Merging the ideal times fails here: fifty sources fall due at the same instant."""
    is_large = schedule.spread(np.array([500] + [10] * 50))[0] == 0
    assert np.all(np.abs(np.cumsum(is_large) - np.arange(1, 1001) / 2) < 1)


@pytest.mark.parametrize("counts", [[], [3, -1], [2**31]])
def test_counts_that_no_block_has_are_refused(counts: list[int]) -> None:
    with pytest.raises(AssertionError):
        schedule.spread(np.array(counts, np.int64))
