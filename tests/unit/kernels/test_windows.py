"""The C kernels and their twins agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.data import permutation
from orfevre.kernels import native, windows


@pytest.fixture(autouse=True)
def _built() -> None:
    if native.library() is None:
        pytest.skip("the C kernels are not built")


def both(function, *arguments):  # type: ignore[no-untyped-def]
    found = function(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "_library", lambda: None)
        return found, function(*arguments)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 2**64 - 1), st.floats(0, 1)), max_size=20))
def test_the_orders_are_the_same(drawn: list[tuple[int, int, float]]) -> None:
    sizes = np.array([size for size, _, _ in drawn], np.int64)
    numbers = np.array([min(int(place * size), size - 1) for size, _, place in drawn], np.int64)
    bases = np.array([permutation.digits(size) for size, _, _ in drawn], np.int64).reshape(-1, 2).T
    keys = np.array([key for _, key, _ in drawn], np.uint64)
    found, twin = both(windows.permuted, numbers, sizes, bases, keys)
    assert np.array_equal(found, twin)
    assert np.all((found >= 0) & (found < sizes))


@settings(max_examples=200)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 29)), max_size=6),
    span=st.integers(1, 70),
    dtype=st.sampled_from([np.uint16, np.uint32, np.int64]),
)
def test_the_tokens_are_the_same(
    lengths: list[int], rows: list[tuple[int, int]], span: int, dtype: type[np.generic]
) -> None:
    streams = [np.arange(100 * number, 100 * number + length).astype(dtype) for number, length in enumerate(lengths)]
    sources = np.array([source % len(lengths) for source, _ in rows], np.int64)
    starts = np.array([start % lengths[source % len(lengths)] for source, start in rows], np.int64)
    found, twin = both(windows.gather, streams, sources, starts, span)
    assert found.shape == (len(rows), span) and np.array_equal(found, twin)
    for row, source, start in zip(found, sources.tolist(), starts.tolist(), strict=True):
        assert row.tolist() == [100 * source + (start + place) % lengths[source] for place in range(span)]


def test_starts_outside_a_stream_are_refused() -> None:
    for start in (-1, 5):
        with pytest.raises(AssertionError, match="inside"):
            windows.gather([np.zeros(5, np.uint16)], np.array([0]), np.array([start]), 2)
