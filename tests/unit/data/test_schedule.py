import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.data import schedule
from orfevre.data.schedule import Schedule, Span

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=9).filter(any)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda weights: sum(weights) > 1e-3),
    st.integers(1, 70_000),
)
def test_quotas_sum_and_stay_within_one_of_their_share(weights: list[float], total: int) -> None:
    counts = schedule.quotas(weights, total)
    shares = np.array(weights) / sum(weights) * total
    assert counts.sum() == total
    assert np.all(counts >= 0)
    assert np.all(np.abs(counts - shares) <= 1)


@settings(max_examples=300)
@given(COUNTS, st.integers(1, 40))
def test_every_block_ends_within_one_sample_of_each_share(counts: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "BLOCK", size)
        ends, made = schedule.blocks(np.array(counts))
    total = sum(counts)
    assert np.all(np.diff(np.concatenate([[0], ends])) <= size) and ends[-1] == total
    assert np.array_equal(made.sum(axis=1), ends)
    assert np.array_equal(made[-1], counts)
    assert np.all(np.diff(np.vstack([np.zeros(len(counts)), made]), axis=0) >= 0)
    assert np.all(np.abs(made - np.outer(ends, counts) / total) < 1)


@settings(max_examples=100)
@given(COUNTS, st.integers(1, 40))
def test_no_prefix_strays_by_two_samples_nor_a_run_of_one_block_by_one(counts: list[int], size: int) -> None:
    total = sum(counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "BLOCK", size)
        made = Schedule([Span(total, counts)])
        sources, ranks = made.at(0, total)
    so_far = np.cumsum(sources[:, None] == np.arange(len(counts)), axis=0)
    ideal = np.outer(np.arange(1, total + 1), counts) / total
    assert np.all(np.abs(so_far - ideal) < (1 if total <= size else 2))
    assert np.array_equal(ranks, so_far[np.arange(total), sources] - 1)


@settings(max_examples=100)
@given(st.data())
def test_any_piece_of_the_run_is_that_piece_of_the_whole(data: st.DataObject) -> None:
    spans, end = [], 0
    for _ in range(data.draw(st.integers(1, 3))):
        end += data.draw(st.integers(0, 50))
        spans.append(Span(end, data.draw(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any))))
    spans.append(Span(end + 7, [1, 1, 1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "BLOCK", data.draw(st.integers(1, 30)))
        made = Schedule(spans)
    sources, ranks = made.at(0, 2 * made.num_samples)  # after its end the run begins again
    assert np.array_equal(sources[: made.num_samples], sources[made.num_samples :])
    for source in range(3):  # dense and rising: no window is left out or read twice
        assert np.array_equal(ranks[sources == source], np.arange(np.sum(sources == source)))
    first = data.draw(st.integers(0, len(sources)))
    last = data.draw(st.integers(first, len(sources)))
    piece = made.at(first, last)
    assert np.array_equal(piece[0], sources[first:last]) and np.array_equal(piece[1], ranks[first:last])
    assert made.counts(last).tolist() == np.bincount(sources[:last], minlength=3).tolist()


def test_a_source_rarer_than_one_a_block_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "BLOCK", 100)
    made = Schedule([Span(10_000, [0.9995, 0.0003, 0.0002])])
    assert made.counts(10_000).tolist() == [9995, 3, 2]


def test_counts_beyond_64_bit_products_are_exact() -> None:
    large = 2**40
    due, over = schedule._shares(np.array([large - 1, 1]), large // 2, large)
    assert due.tolist() == [large // 2 - 1, 0] and over.tolist() == [True, True]
