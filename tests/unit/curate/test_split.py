"""Which side of the split documents fall on: whole groups, and both sides of every source."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.curate import split
from orfevre.curate.split import Split
from orfevre.errors import InputError


def decide(members: Mapping[str, Sequence[int]], fraction: float, seed: int) -> Split:
    """From the groups of each source's documents, in arrays of three."""
    arrays = {name: np.array(groups, np.uint64) for name, groups in members.items()}
    of_source = {
        name: (lambda own=own: iter([own[start : start + 3] for start in range(0, len(own), 3)]))
        for name, own in arrays.items()
    }
    return split.decide(of_source, arrays, fraction, seed)


@given(
    members=st.dictionaries(
        st.sampled_from(["s", "t", "u"]), st.lists(st.integers(0, 12), min_size=1, max_size=12), min_size=1
    ),
    seed=st.integers(0, 99),
    fraction=st.sampled_from([0.01, 0.05, 0.3, 0.45]),
)
def test_every_source_has_both_sides_or_is_refused(members: dict[str, list[int]], seed: int, fraction: float) -> None:
    try:
        found = decide(members, fraction, seed)
    except InputError as error:
        assert any(len(set(groups)) < 2 for groups in members.values()) or "too alike" in str(error)
        return
    for groups in members.values():
        assert set(found.held_out(np.array(groups, np.uint64)).tolist()) == {True, False}


def test_it_is_about_the_fraction_and_depends_on_the_seed() -> None:
    groups = np.arange(4000, dtype=np.uint64)
    one, two = (Split(0.1, seed).held_out(groups) for seed in (1, 2))
    assert 320 < one.sum() < 480 and not np.array_equal(one, two)
    assert np.array_equal(one, Split(0.1, 1).held_out(groups[::-1])[::-1])
    assert decide({"s": groups.tolist()}, 0.1, 1) == Split(0.1, 1)


def test_large_sources_without_a_side_move_one_group() -> None:
    fraction, seed = 0.05, 3
    groups = np.arange(20_000, dtype=np.uint64)
    all_train = groups[~Split(fraction, seed).held_out(groups)][:9000]
    found = decide({"s": all_train.tolist()}, fraction, seed)
    assert len(found.moved) == 1 and found.held_out(all_train).sum() == 1
    draws = Split(fraction, seed).draw(all_train)
    assert found.moved[0] == all_train[np.argmin(draws)]


def test_small_sources_get_both_sides_or_are_refused() -> None:
    for seed in range(50):
        found = decide({"s": [1, 2], "t": [1, 3]}, 0.01, seed)
        for groups in ([1, 2], [1, 3]):
            assert set(found.held_out(np.array(groups, np.uint64)).tolist()) == {True, False}
    with pytest.raises(InputError, match=r"sources\.s: its documents are too few"):
        decide({"s": [1, 1]}, 0.01, 1)
