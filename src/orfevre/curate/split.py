"""Which documents are held out for validation: whole near-duplicate groups, by a hash of their id.

A group is a uint64, the id of its best document, and draws a number in [0, 1); those that draw less than the fraction
are held out. Every source gets at least one document on both sides: where the draw gives it none, groups move.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orfevre.errors import InputError
from orfevre.kernels import minhash_numpy

Groups = NDArray[np.uint64]

EDGE = 64
"""Groups of least and of greatest draw that are looked at in each source: a move takes the nearest that may move."""


@dataclass(frozen=True)
class Split:
    fraction: float
    seed: int
    moved: tuple[int, ...] = ()
    """Groups that lie on the other side than their draw says."""

    def draw(self, groups: Groups) -> NDArray[np.float64]:
        """Uniform in [0, 1), the same for the same seed and group everywhere."""
        salt = minhash_numpy.mix(np.array([self.seed % 2**64], np.uint64))
        return np.asarray(minhash_numpy.mix(groups ^ salt) / 2.0**64, np.float64)

    def held_out(self, groups: Groups) -> NDArray[np.bool_]:
        """For each group (or each document's group) whether it is validation text."""
        return np.asarray((self.draw(groups) < self.fraction) ^ np.isin(groups, np.array(self.moved, np.uint64)))


def decide(
    groups_of: Mapping[str, Callable[[], Iterable[Groups]]], shared: Mapping[str, Groups], fraction: float, seed: int
) -> Split:
    """The split of sources, given their kept documents' groups, array by array, and those that may span sources.

    Raises InputError for a source that cannot have both sides. Usually reads one array of each source.
    """
    split = Split(fraction, seed)
    if all(_has_both(groups(), split) for groups in groups_of.values()):
        return split
    edges = {name: _edges(groups(), split) for name, groups in groups_of.items()}
    for own in edges.values():  # first train, which matters more; a move below never empties a train side
        if split.held_out(own).all():
            split = _move(split, own[-1:])
    for name, own in edges.items():
        if not split.held_out(own).any():
            split = _move(split, _spare(name, edges, shared, split))
    return split


def _has_both(groups: Iterable[Groups], split: Split) -> bool:
    seen = set()
    for some in groups:
        seen |= set(split.held_out(some).tolist())
        if len(seen) == 2:
            return True
    return False


def _edges(groups: Iterable[Groups], split: Split) -> Groups:
    """A source's groups of least and greatest draw, in the order of their draws; all of them where they are few."""
    edge = np.zeros(0, np.uint64)
    for some in groups:
        edge = np.unique(np.concatenate((edge, some)))
        edge = edge[np.argsort(split.draw(edge), kind="stable")]
        if len(edge) > 2 * EDGE:
            edge = np.concatenate((edge[:EDGE], edge[-EDGE:]))
    return edge


def _move(split: Split, group: Groups) -> Split:
    moved = set(split.moved) ^ {int(group[0])}
    return Split(split.fraction, split.seed, tuple(sorted(moved)))


def _spare(source: str, edges: Mapping[str, Groups], shared: Mapping[str, Groups], split: Split) -> Groups:
    """The group of least draw that may leave train without emptying the train side of any source."""
    own = edges[source]
    for place in range(len(own)):
        group = own[place : place + 1]
        touched = [edges[name] for name in edges if name == source or (shared[name] == group).any()]
        if all((~split.held_out(other) & (other != group)).any() for other in touched):
            return group
    raise InputError(
        f"sources.{source}: its documents are too few or too alike to have both training and validation text "
        f"({len(own)} group(s) of near-duplicates); give it more files, join it with another source, or "
        "raise curate.dedup.group_jaccard"
    )
