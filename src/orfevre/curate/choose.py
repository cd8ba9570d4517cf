"""From pairs that are alike to what becomes of each document: who stays, for whom it goes, and its group.

By rank, a document at least `jaccard` alike to one that stays goes. So each that goes has a better near-duplicate that
stays, and no two that stay are near-duplicates. Groups are the components of pairs at least `group_jaccard` alike.

Memory: about 150 bytes a document that is in such a pair, and 60 a pair; other documents are not here at all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEPT, EXACT, NEAR = 0, 1, 2

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """What becomes of each document, by rank (0 is best)."""

    twin: Ints
    """Rank of the best document that stays and is a near-duplicate; its own when it stays."""

    group: Ints
    """Rank of the first of its group."""


def choose(num_documents: int, pairs: Ints, alike: NDArray[np.float64], jaccard: float) -> Choice:
    """`pairs` are ranks int64 `[2, n]` in any order, `alike` float64 `[n]` their similarities."""
    better, worse = pairs.min(axis=0), pairs.max(axis=0)
    near = alike >= jaccard
    better_near, worse_near = better[near], worse[near]
    stays = _stay(num_documents, better_near, worse_near)
    twin = np.where(stays, np.arange(num_documents), num_documents)
    counts = stays[better_near] & ~stays[worse_near]
    np.minimum.at(twin, worse_near[counts], better_near[counts])
    assert (twin < num_documents).all()
    return Choice(twin, components(num_documents, better, worse))


def _stay(num_documents: int, better: Ints, worse: Ints) -> NDArray[np.bool_]:
    """In rounds: who has no better neighbour left stays, and its neighbours go."""
    stays, gone = np.zeros(num_documents, bool), np.zeros(num_documents, bool)
    while len(better):
        blocked = np.zeros(num_documents, bool)
        blocked[worse] = True
        heads = better[~blocked[better]]
        stays[heads] = True
        gone[worse[~blocked[better]]] = True
        left = ~(gone[better] | gone[worse])
        better, worse = better[left], worse[left]
    stays |= ~gone
    return stays


def components(num_documents: int, left: Ints, right: Ints) -> Ints:
    """For each document the least number of its component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(left), bool), (left, right)), shape=(num_documents, num_documents))
    _, label = connected_components(edges, directed=False)
    least = np.full(num_documents, num_documents, np.int64)
    np.minimum.at(least, label, np.arange(num_documents))
    return np.asarray(least[label], np.int64)
