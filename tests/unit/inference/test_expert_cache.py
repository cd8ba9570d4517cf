"""The cache alone, over files that are counted: who stays, who goes, what is pinned, and that everything adds up."""

import threading
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.errors import InputError
from orfevre.inference.expert_cache import ExpertCache, Pair, Statistics


class Numbers:
    """An expert is its layer and its number; files that can fail."""

    def __init__(self, failing: tuple[int, int] | None = None) -> None:
        self.reads: list[tuple[int, int]] = []
        self.rooms = 0
        self.failing = failing
        self._lock = threading.Lock()

    def room(self) -> Pair:
        self.rooms += 1
        return torch.full((1,), -1), torch.full((1,), -1)

    def read(self, layer: int, e: int, room: Pair) -> int:
        if (layer, e) == self.failing:
            raise InputError("shard-3: gone")
        for part, number in zip(room, (layer, e), strict=True):
            assert isinstance(part, torch.Tensor)
            part.fill_(number)
        with self._lock:
            self.reads.append((layer, e))
        return 10


def used(cache: ExpertCache, layer: int, asked: Sequence[int]) -> list[int]:
    """The order in which they came; each is checked to be itself when it is used and to be pinned then."""
    order = []

    def use(e: int, pair: Pair) -> None:
        assert [int(part) for part in pair] == [layer, e]  # type: ignore[arg-type]
        assert (layer, e) in cache.held()
        order.append(e)

    cache.each(layer, asked, use)
    return order


def test_hits_and_misses_of_a_known_sequence() -> None:
    files = Numbers()
    cache = ExpertCache(files, num_layers=1, capacity=3, readers=1)
    for asked, hits, misses in [([0, 1], 0, 2), ([1, 2], 1, 3), ([0, 1], 3, 3), ([3], 3, 4), ([2], 3, 5), ([0], 3, 6)]:
        used(cache, 0, asked)
        assert (cache.statistics.hits, cache.statistics.misses) == (hits, misses)
    assert files.reads == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 2), (0, 0)]
    assert cache.statistics.bytes_read == 60
    assert cache.statistics.hit_rate == 1 / 3


def test_the_least_recently_used_goes_first() -> None:
    cache = ExpertCache(Numbers(), num_layers=1, capacity=3)
    for e in (0, 1, 2, 0, 3):
        used(cache, 0, [e])
    assert cache.held() == [(0, 2), (0, 0), (0, 3)]


def test_what_is_here_comes_before_what_is_read() -> None:
    cache = ExpertCache(Numbers(), num_layers=1, capacity=4)
    used(cache, 0, [2, 3])
    assert used(cache, 0, [0, 1, 2, 3]) == [2, 3, 0, 1]


def test_a_hit_is_not_evicted_for_a_miss_of_the_same_call() -> None:
    files = Numbers()
    cache = ExpertCache(files, num_layers=1, capacity=2)
    used(cache, 0, [0, 1])
    assert used(cache, 0, [0, 1, 2, 3]) == [0, 1, 2, 3]
    assert files.reads.count((0, 0)) == files.reads.count((0, 1)) == 1


def test_layers_keep_their_shares_where_plain_lru_would_never_hit() -> None:
    files = Numbers()
    cache = ExpertCache(files, num_layers=4, capacity=6, readers=2)
    for _ in range(10):
        for layer in range(4):
            used(cache, layer, [0, 1])  # a round needs 8, and 6 have room
    assert cache.statistics.misses == len(files.reads)
    assert cache.statistics.hits >= 9 * 4  # the share of one each; least recently used of all would have none
    cache = ExpertCache(files, num_layers=4, capacity=10, readers=2)
    for _ in range(10):
        for layer in range(4):
            used(cache, layer, [0, 1])
    assert (cache.statistics.hits, cache.statistics.misses) == (9 * 8, 8)


@settings(deadline=None, max_examples=60)
@given(
    capacity=st.integers(1, 14),
    readers=st.integers(1, 3),
    calls=st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 5), min_size=1)), max_size=30),
)
def test_everything_asked_comes_once_and_adds_up(
    capacity: int, readers: int, calls: list[tuple[int, set[int]]]
) -> None:
    files = Numbers()
    cache = ExpertCache(files, 3, capacity, readers)
    for layer, asked in calls:
        here = {e for other, e in cache.held() if other == layer}
        hits = cache.statistics.hits
        assert sorted(used(cache, layer, sorted(asked))) == sorted(asked)
        assert cache.statistics.hits - hits == len(asked & here)
        assert len(cache.held()) == len(set(cache.held())) <= capacity
    assert cache.statistics.asked == sum(len(asked) for _, asked in calls)
    assert cache.statistics.misses == len(files.reads)
    assert files.rooms <= capacity


@pytest.mark.parametrize("capacity", [2, 3, 8])
def test_a_failed_read_leaves_the_cache_whole(capacity: int) -> None:
    files = Numbers(failing=(1, 2))
    cache = ExpertCache(files, num_layers=2, capacity=capacity)
    used(cache, 0, [0, 1])
    with pytest.raises(InputError, match="shard-3"):
        used(cache, 1, [0, 1, 2, 3])
    files.failing = None
    for layer in (1, 0, 1):
        assert sorted(used(cache, layer, [0, 1, 2, 3, 4])) == [0, 1, 2, 3, 4]
    assert len(cache.held()) <= capacity
    assert files.rooms <= capacity


def test_a_failed_use_leaves_nothing_pinned() -> None:
    cache = ExpertCache(Numbers(), num_layers=1, capacity=2)

    def fail(e: int, pair: Pair) -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            cache.each(0, [0, 1, 2], fail)
    assert sorted(used(cache, 0, [0, 1, 2, 3])) == [0, 1, 2, 3]


def test_nothing_asked_is_no_rate() -> None:
    assert Statistics().hit_rate == 0.0
