import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre import recipe
from orfevre.data import loader, schedule
from orfevre.data.shards import Shard
from orfevre.errors import InputError
from orfevre.recipe import Training

LENGTH = 8


def stream(source: str, num_tokens: int, start: int = 0) -> Shard:
    """A shard whose tokens are start, start + 1, ...: a token says where it came from."""
    return Shard(
        source=source,
        split="train",
        tokens=np.arange(start, start + num_tokens, dtype=np.uint32),
        documents=np.array([0, num_tokens]),
        num_bytes=np.array([num_tokens]),
        ids_path=Path("none"),
    )


SHARDS = {"a": stream("a", 80), "b": stream("b", 1000, 10_000), "c": stream("c", 5, 50_000)}


def training(num_steps: int = 100, batch: int = 4) -> Training:
    return Training(tokens=num_steps * batch * LENGTH, batch_sequences=batch, sequence_length=LENGTH)


def make(weights: dict[str, float], num_steps: int = 100, seed: int = 1, pool_fraction: float = 1.0) -> loader.Loader:
    return loader.Loader(SHARDS, weights, training(num_steps), seed, pool_fraction)


def starts(made: loader.Loader, num_steps: int) -> list[int]:
    return [int(row[0]) for step in range(num_steps) for row in made.batch(step)]


def test_inputs_and_targets_are_neighbours_in_the_stream() -> None:
    batch = make({"b": 1.0}).batch(0)
    assert batch.shape == (4, LENGTH + 1)
    assert batch.dtype == np.int64
    assert np.all(np.diff(batch) == 1)


def test_no_window_comes_twice_within_an_epoch_and_all_come() -> None:
    made = make({"a": 1.0})
    seen = starts(made, 25)
    for epoch in range(10):
        assert sorted(seen[10 * epoch : 10 * epoch + 10]) == [8 * window for window in range(10)]
    orders = {tuple(seen[10 * epoch : 10 * epoch + 10]) for epoch in range(10)}
    assert len(orders) == 10


def test_the_last_target_of_the_last_window_is_the_first_token() -> None:
    batch = np.concatenate([make({"a": 1.0}).batch(step) for step in range(3)])
    last = batch[batch[:, 0] == 72][0]
    assert last.tolist() == [72, 73, 74, 75, 76, 77, 78, 79, 0]


def test_a_source_shorter_than_a_window_wraps_around() -> None:
    made = make({"c": 1.0})
    assert made.batch(3)[0].tolist() == [50_000 + number % 5 for number in range(9)]
    assert made.epochs(100)["c"] == pytest.approx(400 * LENGTH / 5)


@settings(max_examples=25)
@given(st.integers(0, 99), st.integers(0, 5))
def test_a_batch_depends_on_its_step_alone(step: int, seed: int) -> None:
    weights = {"a": 0.5, "b": 0.3, "c": 0.2}
    used, fresh = make(weights, seed=seed), make(weights, seed=seed)
    for earlier in range(0, 100, 7):
        used.batch(earlier)
    assert np.array_equal(used.batch(step), fresh.batch(step))


def test_batches_are_the_same_for_ever() -> None:
    """A run that began under an older NumPy must go on under a newer one."""
    assert starts(make({"b": 0.75, "a": 0.25}), 3) == GOLDEN


GOLDEN = [10432, 10064, 10968, 16, 10360, 10424, 10080, 32, 10264, 10984, 10104, 72]


def test_another_seed_gives_another_order_of_the_same_windows() -> None:
    one, two = starts(make({"a": 1.0}, seed=1), 5), starts(make({"a": 1.0}, seed=2), 5)
    assert one != two
    assert sorted(one) == sorted(two)


def test_tokens_by_source_counts_what_batches_hold() -> None:
    weights = {"a": 0.37, "b": 0.5, "c": 0.13, "unread": 0.0}
    made = make(weights)
    for num_steps in (0, 1, 7, 100, 230):  # also beyond the planned steps
        batches = [made.batch(step)[:, :-1] for step in range(num_steps)]
        counted = {"a": 0, "b": 0, "c": 0, "unread": 0}
        for row in itertools.chain.from_iterable(batches):
            counted["a" if row[0] < 10_000 else "b" if row[0] < 50_000 else "c"] += LENGTH
        assert made.tokens_by_source(num_steps) == counted
    assert made.epochs(100)["b"] == pytest.approx(200 * LENGTH / 1000)
    assert made.epochs(100)["unread"] == 0.0


def test_runs_of_many_blocks_keep_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "BLOCK", 20)
    made = make({"a": 0.25, "b": 0.75})
    seen = starts(made, 100)
    for prefix in range(1, 401):
        assert abs(sum(token < 10_000 for token in seen[:prefix]) - prefix / 4) < 1
    assert made.tokens_by_source(100) == {"a": 100 * LENGTH, "b": 300 * LENGTH}
    in_b = [token for token in seen if token >= 10_000]
    assert len(set(in_b[:125])) == 125  # the ranks run on across blocks: no window twice in the first epoch


def test_a_pool_is_a_fixed_subset_read_as_often_as_the_target_run_would() -> None:
    whole, part = make({"b": 1.0}), make({"b": 1.0}, num_steps=10, pool_fraction=0.1)
    pool = set(starts(part, 10))
    assert len(pool) == round(0.1 * 125)
    assert part.epochs(10)["b"] == pytest.approx(whole.epochs(100)["b"], rel=0.05)
    assert set(starts(make({"b": 1.0}, num_steps=50, pool_fraction=0.1), 50)) == pool
    assert set(starts(make({"b": 1.0}, num_steps=50, seed=2, pool_fraction=0.1), 50)) != pool


def test_a_pool_has_at_least_one_window() -> None:
    assert len(set(starts(make({"a": 1.0}, pool_fraction=1e-9), 5))) == 1


def test_a_source_of_weight_zero_need_not_exist() -> None:
    assert make({"a": 1.0, "nowhere": 0.0}).tokens_by_source(1) == {"a": 4 * LENGTH, "nowhere": 0}


def test_a_weighted_source_without_tokens_is_refused() -> None:
    for shards in ({"a": stream("a", 80), "e": stream("e", 0)}, {"a": stream("a", 80)}):
        with pytest.raises(InputError, match=r"source e has weight 0\.5 but no training tokens"):
            loader.Loader(shards, {"a": 0.5, "e": 0.5}, training(), 1)


@pytest.mark.parametrize(
    "weights", [{"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan"), "b": 0.5}, {}, {"a": 0.6, "b": 0.6}]
)
def test_weights_that_are_not_a_mixture_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not a mixture"):
        make(weights)


@given(st.integers(1, 9), st.integers(0, 60))
def test_the_ranks_batches_together_are_the_batch_of_one(num_ranks: int, step: int) -> None:
    made = make({"a": 0.5, "b": 0.3, "c": 0.2})
    together = np.concatenate([made.batch(step, rank, num_ranks) for rank in range(num_ranks)])
    assert np.array_equal(together, made.batch(step))


def test_a_rank_that_is_not_there_is_refused() -> None:
    for rank in (-1, 2):
        with pytest.raises(ValueError, match="of 2"):
            make({"a": 1.0}).batch(0, rank, 2)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"a": 0.5, "b": 0.3, "c": 0.2}
    whole = make(weights).samples(0, 400)
    for chunk in (1, 3, 64):
        monkeypatch.setattr(loader, "CHUNK", chunk)
        made = make(weights)
        for first, last in ((0, 400), (5, 6), (7, 7), (62, 130), (399, 401)):
            found = made.samples(first, min(last, 400))
            assert all(np.array_equal(mine, all_[first:last]) for mine, all_ in zip(found, whole, strict=True))


PHASES = st.lists(st.integers(1, 99), max_size=3, unique=True)


@settings(max_examples=40, deadline=None)
@given(ends=PHASES, draws=st.lists(st.integers(0, 6), min_size=12, max_size=12))
def test_phases_are_exact_to_the_sample(ends: list[int], draws: list[int]) -> None:
    untils = [*sorted(end / 100 for end in ends), 1.0]
    phases = []
    for place, until in enumerate(untils):
        a, b, c = draws[3 * place : 3 * place + 3]
        total = a + b + c + 1
        phases.append(recipe.Phase(until=until, weights={"a": a / total, "b": (b + 1) / total, "c": c / total}))
    made = loader.Loader(SHARDS, {"a": 0.5, "b": 0.5}, training(num_steps=100), 1, phases=phases)
    sources, _ = made.samples(0, 400)
    names = [name for name in made.tokens_by_source(0) if any(phase.weights.get(name, 0) > 0 for phase in phases)]
    begin = 0
    for phase in phases:
        end = round(phase.until * 400)
        counts = np.bincount(sources[begin:end], minlength=len(names))
        expected = schedule.quotas([phase.weights.get(name, 0.0) for name in names], end - begin)
        assert counts.tolist() == expected.tolist()
        begin = end


def test_a_phase_of_the_mixture_reads_the_mixture() -> None:
    phases = [recipe.Phase(until=0.9), recipe.Phase(until=1.0, weights={"c": 1.0})]
    made = loader.Loader(SHARDS, {"a": 0.5, "b": 0.5}, training(num_steps=100), 1, phases=phases)
    assert made.tokens_by_source(90) == {"a": 180 * LENGTH, "b": 180 * LENGTH, "c": 0}
    assert made.tokens_by_source(100)["c"] == 40 * LENGTH
    assert np.array_equal(made.batch(50), make({"a": 0.5, "b": 0.5}, num_steps=90).batch(50))


def test_the_digest_changes_with_whatever_changes_a_batch() -> None:
    weights = {"a": 0.5, "b": 0.5}
    phases = [recipe.Phase(until=1.0, weights={"a": 1.0})]
    others = [
        make({"a": 0.4, "b": 0.6}),
        make(weights, seed=2),
        make(weights, num_steps=99),
        make(weights, pool_fraction=0.5),
        loader.Loader(SHARDS, weights, training(num_steps=50, batch=8), 1),
        loader.Loader(SHARDS | {"a": stream("a", 81)}, weights, training(), 1),
        loader.Loader(SHARDS, weights, training(), 1, phases=phases),
    ]
    digests = {made.digest for made in others}
    assert make(weights).digest not in digests and len(digests) == len(others)
    assert make(weights).digest == make(weights).digest
