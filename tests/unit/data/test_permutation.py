import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.data import permutation
from orfevre.kernels import windows


def order(size: int, key: int, numbers: np.ndarray | None = None) -> np.ndarray:
    numbers = np.arange(size) if numbers is None else numbers
    count = len(numbers)
    bases = np.repeat(np.array(permutation.digits(size))[:, None], count, axis=1)
    return windows.permuted(numbers, np.full(count, size), bases, np.full(count, key, np.uint64))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
def test_an_order_holds_every_number_once(size: int, key: int) -> None:
    assert np.array_equal(np.sort(order(size, key)), np.arange(size))


@given(st.integers(1, 2**50))
def test_digits_hold_the_size_and_hardly_more(size: int) -> None:
    wide, narrow = permutation.digits(size)
    assert size <= wide * narrow < size + wide


def test_large_orders_have_no_number_twice() -> None:
    size = 10**12
    numbers = np.arange(0, size, size // 50_000)
    made = order(size, 7, numbers)
    assert len(np.unique(made)) == len(numbers) and made.min() >= 0 and made.max() < size


@pytest.mark.parametrize(("size", "orders", "limit"), [(2, 2, 15.1), (3, 6, 25.7), (4, 24, 58.0), (5, 120, 184.0)])
def test_small_orders_are_equally_likely(size: int, orders: int, limit: float) -> None:
    """Chi-square over all orders with orders - 1 degrees of freedom; `limit` is the 0.9999 quantile."""
    num_keys = 12_000
    key = permutation.keys(np.full(num_keys, 99, np.uint64), np.arange(num_keys)).repeat(size)
    bases = np.repeat(np.array(permutation.digits(size))[:, None], num_keys * size, axis=1)
    numbers = np.tile(np.arange(size), num_keys)
    made = windows.permuted(numbers, np.full(len(numbers), size), bases, key).reshape(num_keys, size)
    counts = np.unique(made, axis=0, return_counts=True)[1]
    expected = num_keys / orders
    assert len(counts) == orders
    assert np.sum((counts - expected) ** 2 / expected) < limit


def test_neighbours_are_parted_and_places_are_even() -> None:
    """Of 10,000 numbers cut into 100 stretches: each place is as likely, and what follows a number is not near it."""
    size = 10_000
    made = order(size, 3)
    counts = np.histogram2d(np.arange(size) // 100, made // 100, bins=100)[0]
    assert np.sum((counts - 1) ** 2) < 9801 + 4 * np.sqrt(2 * 9801)  # chi-square, 99 x 99 degrees of freedom
    assert np.abs(np.mean(np.abs(np.diff(made))) - size / 3) < 0.05 * size


def test_orders_are_the_same_for_ever() -> None:
    assert order(10, 1).tolist() == GOLDEN
    assert permutation.key_of("1/books/epoch") == 13431829632510687605
    assert permutation.keys(np.array([5], np.uint64), np.array([2])).tolist() == [13877614986023876344]


GOLDEN = [2, 1, 6, 8, 7, 9, 5, 4, 3, 0]
