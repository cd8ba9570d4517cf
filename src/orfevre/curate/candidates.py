"""Documents that may be alike: equal texts by their digest, near-duplicates by the bands they share.

spill_digests, spill_bands   a group of parts -> its records by range of key
find_equal                   a range -> `[2, n]`: places of copies, ascending, and of the best document of that text
find_pairs                   a range -> `[2, n]`: pairs of places, left below right, ascending, no repeats
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate import catalogue as catalogues
from orfevre.curate import ranking, shuffle
from orfevre.curate.catalogue import Catalogue
from orfevre.recipe import Dedup

DIGEST = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<u4")])
BAND = np.dtype([("key", "<u8"), ("row", "<u4")])

MAX_PIVOTS = 50
"""In a bucket, documents that share a band, each is compared with at most this many better ones, the best: a bound on
buckets of boilerplate."""

MAX_PAIRS = 4 * 2**20
"""Pairs of one bucket, about, so that memory stays bounded: a bucket of a million has four pivots."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """A group of parts, or a range of keys, by its number. Everything lies under `folder`."""

    folder: Path
    number: int
    rules: Dedup

    @property
    def catalogue(self) -> Catalogue:
        return catalogues.read(self.folder)

    def out(self, kind: str) -> Path:
        return shuffle.spilled(self.folder / kind, self.number)


def spill_digests(task: Task) -> None:
    catalogue = task.catalogue
    first, after = catalogue.groups[task.number]
    records = np.zeros(np.diff(catalogue.span(task.number))[0], DIGEST)
    start = int(catalogue.starts[first])
    for part in range(first, after):
        own = records[catalogue.starts[part] - start : catalogue.starts[part + 1] - start]
        index = catalogue.load(part, "index")
        own["high"], own["low"] = index["high"], index["low"]
    records["row"] = np.arange(len(records))
    shuffle.spill(task.out("digests"), records, catalogue.num_ranges)


def find_equal(task: Task) -> None:
    catalogue = task.catalogue
    records, places = shuffle.gather(task.folder / "digests", catalogue, task.number)
    order = np.lexsort((places, records["low"], records["high"]))
    high, low, places = records["high"][order], records["low"][order], places[order]
    del records, order
    again = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    inside = np.flatnonzero(np.append(again, False) | np.append(False, again))  # those that are not alone
    starts = np.append(True, ~again)[inside]
    places, text = places[inside], np.cumsum(starts) - 1
    by_rank = ranking.order(catalogue, places, task.rules)
    best = np.zeros(int(starts.sum()), np.int64)
    best[text[by_rank[::-1]]] = places[by_rank[::-1]]  # the last to be written is the best
    twins = best[text]
    copies = np.flatnonzero(twins != places)
    copies = copies[np.argsort(places[copies])]
    shuffle.save(task.out("equal"), np.stack((places[copies], twins[copies])))


def spill_bands(task: Task) -> None:
    """Keys of the group's documents that have words and are no copies."""
    catalogue = task.catalogue
    first, after = catalogue.groups[task.number]
    low, high = catalogue.span(task.number)
    single = np.ones(high - low, bool)
    single[copies_between(task.folder, catalogue, low, high)[0] - low] = False
    num_bands = task.rules.num_bands
    found = []
    for part in range(first, after):
        at = int(catalogue.starts[part]) - low
        wanted = np.flatnonzero(catalogue.load(part, "shingles") > 0)
        wanted = wanted[single[at + wanted]]
        records = np.empty((len(wanted), num_bands), BAND)
        records["key"] = catalogue.load(part, "keys")[wanted]
        records["row"] = (at + wanted)[:, None]
        found.append(records.reshape(-1))
    shuffle.spill(task.out("bands"), np.concatenate([np.zeros(0, BAND), *found]), catalogue.num_ranges)


def copies_between(folder: Path, catalogue: Catalogue, low: int, high: int) -> Ints:
    """Copies with low <= place < high, `[2, n]`: their places and their twins'."""
    return between(folder / "equal", catalogue.num_ranges, low, high)


def between(folder: Path, num_files: int, low: int, high: int) -> Ints:
    """Columns with low <= first row < high of the arrays `[rows, n]`, ascending by the first row, in a folder."""
    found = []
    for number in range(num_files):
        stored = np.load(shuffle.spilled(folder, number), mmap_mode="r")
        start, end = np.searchsorted(stored[0], (low, high))
        found.append(np.array(stored[:, start:end]))
    return np.concatenate(found, axis=1)


def find_pairs(task: Task) -> None:
    catalogue = task.catalogue
    records, places = shuffle.gather(task.folder / "bands", catalogue, task.number)
    shared = _may_be_shared(records["key"])
    records, places = records[shared], places[shared]
    order = np.argsort(records["key"])  # in a bucket any order does
    keys, places = records["key"][order], places[order]
    del records, order
    edges = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1], [True]))) if len(keys) else np.zeros(1, int)
    pairs = _pairs(catalogue, places, edges, task.rules)
    shuffle.save(task.out("pairs"), pairs)
    shuffle.save(task.out("involved"), np.unique(pairs)[None])


def _may_be_shared(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """False for a key that surely occurs once, as most do: counting by a few bits is cheaper than sorting."""
    width = max(1, (2 * len(keys)).bit_length())
    place = (keys & np.uint64(2**width - 1)).astype(np.int64)
    return np.asarray(np.bincount(place, minlength=1)[place] > 1)


def _pairs(catalogue: Catalogue, places: Ints, edges: NDArray[np.intp], rules: Dedup) -> Ints:
    """All pairs of a bucket; of a large one, those with one of its best."""
    sizes = np.diff(edges)
    left: list[Ints] = [np.zeros(0, np.int64)]
    right: list[Ints] = [np.zeros(0, np.int64)]
    small = np.flatnonzero((sizes > 1) & (sizes <= MAX_PIVOTS))
    for distance in range(1, MAX_PIVOTS):
        small = small[sizes[small] > distance]
        firsts = _stretches(edges[small], sizes[small] - distance)
        left.append(places[firsts])
        right.append(places[firsts + distance])
    for bucket in np.flatnonzero(sizes > MAX_PIVOTS):
        members = places[edges[bucket] : edges[bucket + 1]]
        members = members[ranking.order(catalogue, members, rules)]
        for pivot in range(min(MAX_PIVOTS, max(1, MAX_PAIRS // len(members)))):
            left.append(np.full(len(members) - pivot - 1, members[pivot]))
            right.append(members[pivot + 1 :])
    return _distinct(np.concatenate(left), np.concatenate(right))


def _stretches(starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    """start, start + 1 ... of each stretch, one after another."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _distinct(left: Ints, right: Ints) -> Ints:
    """Pairs `[2, n]` with left below right, ascending, each once."""
    pairs = np.stack((np.minimum(left, right), np.maximum(left, right)))
    pairs = pairs[:, np.lexsort((pairs[1], pairs[0]))]
    new = np.ones(pairs.shape[1], bool)
    new[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    return pairs[:, new]
