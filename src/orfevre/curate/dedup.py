"""Exact and MinHash-LSH deduplication across all sources (docs/concepts/curation.md).

Documents are ranked: sources in the order of the recipe, then the longest, then by id. Of equal documents the first
stays. Documents that share a band of their signature are compared by their whole signatures: those at least
`group_jaccard` alike form groups, and inside a group, by rank, a document at least `jaccard` alike to one that stays is
dropped. So no two documents that stay are near-duplicates, and each that goes has a near-duplicate that stays.

Memory: 33 bytes a document, one band's keys, and pages of the signature file as they are touched.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orfevre.curate.groups import Groups
from orfevre.curate.units import INDEX
from orfevre.kernels import minhash
from orfevre.recipe import Dedup

KEPT, EXACT, NEAR = 0, 1, 2

PAIRS_AT_ONCE = 65_536
"""Candidate pairs compared at once: 64 MiB of signatures at 128 values."""

MAX_PIVOTS = 1_000
"""In a band's bucket, every member is compared with at most this many before it: a bound on buckets of boilerplate."""

Ints = NDArray[np.int64]


class Bands(Protocol):
    """Signatures and band keys of all documents, by rank."""

    def keys(self, band: int) -> NDArray[np.uint64]:
        """Band keys uint64 `[num_documents]`."""

    def signatures(self, members: Ints) -> NDArray[np.uint32]:
        """Signatures uint32 `[len(members), width]`."""


@dataclass(frozen=True)
class Verdicts:
    """What becomes of each document, by rank."""

    status: NDArray[np.uint8]
    """KEPT, EXACT or NEAR."""

    twin: Ints
    """Rank of the document it duplicates; its own when kept."""

    group: Ints
    """Rank of the first kept member of its near-duplicate group."""


def rank(sources: NDArray[np.int64], index: NDArray[np.void]) -> Ints:
    """Places in reading order, best first: source, then longest, then id."""
    return np.lexsort((index["id"], -index["num_bytes"], sources)).astype(np.int64)


def decide(index: NDArray[np.void], has_words: NDArray[np.bool_], bands: Bands, rules: Dedup) -> Verdicts:
    """`index` and `has_words` are by rank; `index` has the fields of units.INDEX."""
    assert index.dtype == INDEX
    first = _first_equal(index)
    everyone = np.arange(len(index), dtype=np.int64)
    unique = first == everyone
    groups = Groups(len(index))
    for band in range(rules.num_bands):
        _join_band(np.flatnonzero(unique & has_words), bands, band, rules, groups)
    roots = groups.roots()
    twin = first
    for members in _sets(roots):
        _resolve(members, bands, rules, twin)
    status = np.where(twin == everyone, KEPT, np.where(unique, NEAR, EXACT)).astype(np.uint8)
    return Verdicts(status, twin, roots)


def _first_equal(index: NDArray[np.void]) -> Ints:
    """For each document the first of the same text: its own rank when it is the first."""
    order = np.lexsort((np.arange(len(index)), index["low"], index["high"]))
    high, low = index["high"][order], index["low"][order]
    starts = np.ones(len(order), bool)
    starts[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    first = np.empty(len(order), np.int64)
    first[order] = order[np.flatnonzero(starts)][np.cumsum(starts) - 1]
    return first


def _join_band(members: Ints, bands: Bands, band: int, rules: Dedup, groups: Groups) -> None:
    keys = bands.keys(band)[members]
    order = np.argsort(keys, kind="stable")  # stable: inside a bucket members stay by rank
    keys, members = keys[order], members[order]
    edges = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1], [True]))) if len(keys) else np.zeros(1, int)
    for candidates in _pairs(members, edges):
        roots = groups.roots()
        left, right = candidates[:, roots[candidates[0]] != roots[candidates[1]]]
        alike = minhash.similarity(bands.signatures(left), bands.signatures(right)) >= rules.group_jaccard
        groups.join(zip(left[alike].tolist(), right[alike].tolist(), strict=True))


def _pairs(members: Ints, edges: NDArray[np.intp]) -> Iterator[Ints]:
    """Candidate pairs int64 `[2, n]` of one band, in blocks: all of a bucket; of a huge one, those with its first."""
    held: list[Ints] = []
    num_held = 0
    sizes = np.diff(edges)
    for bucket in np.flatnonzero(sizes > 1):
        inside = members[edges[bucket] : edges[bucket + 1]]
        for pivot in range(min(len(inside) - 1, MAX_PIVOTS)):
            right = inside[pivot + 1 :]
            for start in range(0, len(right), PAIRS_AT_ONCE):
                block = right[start : start + PAIRS_AT_ONCE]
                held.append(np.stack((np.full(len(block), inside[pivot]), block)))
                num_held += len(block)
                if num_held >= PAIRS_AT_ONCE:
                    yield np.concatenate(held, axis=1)
                    held, num_held = [], 0
    if held:
        yield np.concatenate(held, axis=1)


def _sets(roots: Ints) -> Iterator[Ints]:
    """Members, by rank, of every set of more than one."""
    order = np.argsort(roots, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(roots[order]) != 0))) if len(order) else order
    for members in np.split(order, starts[1:]):
        if len(members) > 1:
            yield members


def _resolve(members: Ints, bands: Bands, rules: Dedup, twin: Ints) -> None:
    """By rank, set `twin` of every member that is a near-duplicate of one that stays."""
    staying: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for start in range(0, len(members), PAIRS_AT_ONCE):
        block = members[start : start + PAIRS_AT_ONCE]
        for member, signature in zip(block.tolist(), bands.signatures(block), strict=True):
            marks = [(band, row.tobytes()) for band, row in enumerate(signature.reshape(rules.num_bands, -1))]
            rivals = np.array(sorted({rival for mark in marks for rival in staying.get(mark, ())}), np.int64)
            alike = minhash.similarity(bands.signatures(rivals), signature[None, :]) >= rules.jaccard
            if alike.any():
                twin[member] = rivals[int(np.argmax(alike))]
            else:
                for mark in marks:
                    staying[mark].append(member)


@dataclass(frozen=True)
class BandFiles:
    """Bands read from the parts' files; `order[r]` is the place, in reading order, of the document of rank r."""

    parts: Sequence[Path]
    starts: Ints
    """Place of each part's first document, then the number of documents."""
    order: Ints

    def keys(self, band: int) -> NDArray[np.uint64]:
        pieces = [np.load(part.with_suffix(".keys.npy"), mmap_mode="r")[band] for part in self.parts]
        return np.asarray(np.concatenate([np.zeros(0, np.uint64), *pieces])[self.order], np.uint64)

    @cached_property
    def _stored(self) -> list[NDArray[np.uint32]]:
        """Every part's signatures, mapped once: opening them anew for each block took most of the time."""
        return [np.asarray(np.load(part.with_suffix(".signatures.npy"), mmap_mode="r")) for part in self.parts]

    def signatures(self, members: Ints) -> NDArray[np.uint32]:
        places = self.order[members]
        owners = np.searchsorted(self.starts, places, side="right") - 1
        rows: NDArray[np.uint32] | None = None
        for owner in np.unique(owners):
            stored = self._stored[owner]
            if rows is None:
                rows = np.empty((len(members), stored.shape[1]), np.uint32)
            mine = owners == owner
            rows[mine] = stored[places[mine] - self.starts[owner]]
        return np.empty((0, 1), np.uint32) if rows is None else rows
