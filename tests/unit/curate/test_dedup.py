"""Which documents stay, against a reference that compares everything with everything; and which side they fall on."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orfevre.curate import dedup, split
from orfevre.curate.groups import Groups
from orfevre.curate.units import INDEX
from orfevre.errors import InputError
from orfevre.kernels import minhash
from orfevre.recipe import Dedup

RULES = Dedup()


@dataclass(frozen=True)
class InMemory:
    values: NDArray[np.uint32]

    def keys(self, band: int) -> NDArray[np.uint64]:
        return minhash.band_keys(self.values, RULES.num_bands)[band]

    def signatures(self, members: NDArray[np.int64]) -> NDArray[np.uint32]:
        return self.values[members]


def decide(texts: list[str]) -> tuple[dedup.Verdicts, NDArray[np.float64], NDArray[np.bool_]]:
    """Verdicts, similarity of every pair, and which pairs share a band."""
    values, counts = minhash.signatures([text.encode() for text in texts], 128)
    index = np.zeros(len(texts), INDEX)
    index["high"] = [hash(text) % 2**64 for text in texts]
    verdicts = dedup.decide(index, counts > 0, InMemory(values), RULES)
    alike = (values[:, None] == values[None]).mean(axis=2)
    keys = minhash.band_keys(values, RULES.num_bands)
    share = (keys[:, :, None] == keys[:, None, :]).any(axis=0)
    return verdicts, alike, share & (counts > 0)[:, None] & (counts > 0)[None]


def variants() -> st.SearchStrategy[list[str]]:
    """Texts over few base documents, each with some words changed: all degrees of likeness, exact copies too."""

    @st.composite
    def one(draw: st.DrawFn) -> str:
        base = draw(st.integers(0, 2))
        words = [f"b{base}w{place}" for place in range(60)]
        for place in draw(st.lists(st.integers(0, 59), max_size=6)):
            words[place] = f"new{draw(st.integers(0, 3))}"
        return " ".join(words[: draw(st.sampled_from([60, 60, 50, 3, 0]))])

    return st.lists(one(), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(variants())
def test_what_stays_and_what_goes(texts: list[str]) -> None:
    verdicts, alike, share = decide(texts)
    kept = np.flatnonzero(verdicts.status == dedup.KEPT)
    for rank, text in enumerate(texts):
        twin = int(verdicts.twin[rank])
        assert (verdicts.status[rank] == dedup.EXACT) == (text in texts[:rank])
        if verdicts.status[rank] == dedup.NEAR:  # it has a better near-duplicate that stays
            assert twin < rank and twin in kept and alike[rank, twin] >= RULES.jaccard
        elif verdicts.status[rank] == dedup.KEPT:
            assert twin == rank
    for place, left in enumerate(kept):
        for right in kept[place + 1 :]:
            assert not (share[left, right] and alike[left, right] >= RULES.jaccard)
            if share[left, right] and alike[left, right] >= RULES.group_jaccard:
                assert verdicts.group[left] == verdicts.group[right]


@settings(max_examples=40, deadline=None)
@given(texts=variants(), seed=st.integers(0, 99), fraction=st.sampled_from([0.05, 0.3, 0.45]))
def test_no_kept_near_duplicates_straddle_the_split(texts: list[str], seed: int, fraction: float) -> None:
    texts = [*texts, *(f"alone{n} " * 9 + " ".join(f"z{n}y{m}" for m in range(9)) for n in range(6))]
    verdicts, alike, share = decide(texts)
    kept = np.flatnonzero(verdicts.status == dedup.KEPT)
    owner = {int(rank): f"s{rank % 2}" for rank in kept}
    members = [(str(verdicts.group[rank]), owner[int(rank)]) for rank in kept]
    try:
        held = split.hold_out(members, fraction, seed, ["s0", "s1"])
    except InputError:
        return
    side = {int(rank): group in held for rank, (group, _) in zip(kept, members, strict=True)}
    for left in kept:
        for right in kept:
            if share[left, right] and alike[left, right] >= RULES.group_jaccard:
                assert side[int(left)] == side[int(right)]
    for name in ("s0", "s1"):
        assert {side[rank] for rank in side if owner[rank] == name} == {True, False}


def test_a_bucket_of_boilerplate_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup, "PAIRS_AT_ONCE", 7)
    text = " ".join(f"licence{n}" for n in range(40))
    texts = [text + f" copyright holder{n}" for n in range(60)]
    verdicts, _, _ = decide(texts)
    assert (verdicts.status == dedup.KEPT).sum() == 1 and (verdicts.group == 0).all()


def test_nothing_and_texts_without_words() -> None:
    verdicts, _, _ = decide(["...", "!!!", ""])
    assert (verdicts.status == dedup.KEPT).all() and verdicts.group.tolist() == [0, 1, 2]


def test_rank_is_source_then_longest_then_id() -> None:
    index = np.zeros(4, INDEX)
    index["id"], index["num_bytes"] = [4, 3, 2, 1], [5, 5, 9, 100]
    assert dedup.rank(np.array([0, 0, 0, 1]), index).tolist() == [2, 1, 0, 3]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_roots_are_the_first_members_in_any_order(pairs: list[tuple[int, int]]) -> None:
    forward, backward = Groups(20), Groups(20)
    forward.join(pairs)
    backward.join(pairs[::-1])
    roots = forward.roots()
    assert np.array_equal(roots, backward.roots())
    assert all(roots[root] == root and root <= member for member, root in enumerate(roots))


def test_the_split_is_about_the_fraction_and_depends_on_the_seed() -> None:
    members = [(f"{group:016x}", "s") for group in range(4000)]
    one, two = (split.hold_out(members, 0.1, seed, ["s"]) for seed in (1, 2))
    assert 320 < len(one) < 480 and one != two and one == split.hold_out(members[::-1], 0.1, 1, ["s"])


def test_small_sources_get_both_sides_or_are_refused() -> None:
    members = [("a", "s"), ("b", "s"), ("a", "t"), ("c", "t")]
    for seed in range(50):
        held = split.hold_out(members, 0.01, seed, ["s", "t"])
        for source in ("s", "t"):
            assert {group in held for group, owner in members if owner == source} == {True, False}
    with pytest.raises(InputError, match=r"sources\.s: its documents are too few"):
        split.hold_out([("a", "s"), ("a", "s")], 0.1, 1, ["s"])
