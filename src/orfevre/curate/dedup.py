"""Exact and near-duplicate detection across all sources, as an external shuffle (docs/concepts/deduplication.md).

    catalogue   every document that passed the rules gets a number, its place
    candidates  equal texts by their digest; then, without the copies, pairs that share a band of their signature
    verify      the exact Jaccard similarity of each pair's sets of shingles
    choose      by rank (ranking.py), who stays, for whom the others go, and which stay together in the split

All but `choose` are pure functions from files to files under one folder, mapped by the runner; a file that stands is
whole and is not made again. Documents that share nothing with another never enter memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre import runner
from orfevre.curate import candidates, ranking, shuffle, verify
from orfevre.curate import catalogue as catalogues
from orfevre.curate.candidates import Task
from orfevre.curate.catalogue import Catalogue, Part
from orfevre.curate.choose import EXACT, KEPT, NEAR, choose
from orfevre.recipe import Dedup, Runner

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Verdicts:
    """Documents that have a copy or a near relation, by place, ascending. All others stay, alone in their group."""

    place: Ints
    status: NDArray[np.uint8]
    """KEPT, EXACT or NEAR."""

    twin: Ints
    """Place of the document it duplicates; its own when kept."""

    group: Ints
    """Place of the best of its near-duplicate group, which is kept."""


def decide(parts: Sequence[Part], rules: Dedup, folder: Path, machine: Runner) -> tuple[Catalogue, Verdicts]:
    """Over the parts' files (signs.py). Intermediate files lie in `folder`, which may hold those of a run that was cut
    short, of the same parts and rules."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = catalogues.build(parts, rules)
    catalogue.save(folder)
    groups, ranges = len(catalogue.groups), catalogue.num_ranges
    steps: list[tuple[str, Callable[[Task], None], int, str]] = [
        ("digests", candidates.spill_digests, groups, "sorting digests"),
        ("equal", candidates.find_equal, ranges, "finding copies"),
        ("bands", candidates.spill_bands, groups, "sorting signatures"),
        ("involved", candidates.find_pairs, ranges, "finding candidates"),
        ("sets", verify.keep_sets, groups, "shingling candidates"),
        ("alike", verify.compare, groups, "comparing candidates"),
    ]
    for kind, function, count, label in steps:
        waiting = [
            task for task in (Task(folder, number, rules) for number in range(count)) if not task.out(kind).exists()
        ]
        runner.run_all(function, waiting, machine, label=label)
    return catalogue, _verdicts(catalogue, rules, folder)


def _verdicts(catalogue: Catalogue, rules: Dedup, folder: Path) -> Verdicts:
    copies = _all(folder / "equal", catalogue.num_ranges, 2)
    alike = _all(folder / "alike", len(catalogue.groups), 3)
    places = np.unique(alike[:2])
    order = ranking.order(catalogue, places, rules)
    rank = np.empty(len(places), np.int64)
    rank[order] = np.arange(len(places))
    pairs = rank[np.searchsorted(places, alike[:2])]
    choice = choose(len(places), pairs, alike[2].view(np.float64), rules.jaccard)
    by_rank = places[order]
    status = np.where(choice.twin == np.arange(len(places)), KEPT, NEAR).astype(np.uint8)
    near = Verdicts(by_rank, status, by_rank[choice.twin], by_rank[choice.group])
    return _with_copies(near, copies)


def _with_copies(near: Verdicts, copies: Ints) -> Verdicts:
    """A copy goes for the best document of its text, whether that stays or not, and is in its group."""
    order = np.argsort(near.place)
    places = near.place[order]
    group = copies[1].copy()
    found = np.searchsorted(places, group)
    known = found < len(places)
    known[known] = places[found[known]] == group[known]
    group[known] = near.group[order][found[known]]
    place = np.concatenate((near.place, copies[0]))
    status = np.concatenate((near.status, np.full(copies.shape[1], EXACT, np.uint8)))
    twin, together = np.concatenate((near.twin, copies[1])), np.concatenate((near.group, group))
    order = np.argsort(place)
    return Verdicts(place[order], status[order], twin[order], together[order])


def _all(folder: Path, count: int, num_rows: int) -> Ints:
    found = [np.load(shuffle.spilled(folder, number)) for number in range(count)]
    return np.concatenate([np.zeros((num_rows, 0), np.int64), *found], axis=1)
