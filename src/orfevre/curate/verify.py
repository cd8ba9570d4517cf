"""From candidates to pairs that are alike: the exact Jaccard similarity of their sets of shingles.

    keep_sets   a group of parts -> sets of shingles of those of its documents that are in a pair
    compare     a group of parts -> `[3, n]` of its pairs (left in the group) at least `group_jaccard` alike: places,
                and the bits of the similarity as float64

Exact, but for shingles that collide in 64 bits. Memory is a part's text, or BLOCK_BYTES of sets.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate import shuffle
from orfevre.curate.candidates import Task, between
from orfevre.curate.catalogue import Catalogue
from orfevre.kernels import minhash

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

BLOCK_BYTES = 128 * 2**20
"""Sets compared at once."""


def keep_sets(task: Task) -> None:
    """Leave `<group>.npy` (members, uint64), and beside it the places and where each set begins."""
    catalogue = task.catalogue
    low, high = catalogue.span(task.number)
    places = np.unique(between(task.folder / "involved", catalogue.num_ranges, low, high)[0])
    path = task.out("sets")
    path.parent.mkdir(exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    ends = [np.zeros(1, np.int64)]
    with aside.open("wb") as file:
        for part in range(*catalogue.groups[task.number]):
            start, end = np.searchsorted(places, catalogue.starts[part : part + 2])
            for texts in texts_of(catalogue.parts[part].path, places[start:end] - catalogue.starts[part]):
                members, starts = minhash.sets(texts)
                file.write(members.tobytes())
                ends.append(starts[1:] + ends[-1][-1])
    shuffle.save(path.with_suffix(".places.npy"), places)
    shuffle.save(path.with_suffix(".starts.npy"), np.concatenate(ends))
    aside.replace(path)  # last: where it stands, all stands


def texts_of(part: Path, rows: Ints) -> Iterator[list[bytes]]:
    """UTF-8 of the documents of these rows, ascending, counted among those that passed the rules; batch by batch."""
    import pyarrow as pa

    if not len(rows):
        return
    passed = 0
    with pa.memory_map(str(part)) as file, pa.ipc.open_file(file) as opened:
        for number in range(opened.num_record_batches):
            batch = opened.get_batch(number)
            standing = np.flatnonzero(np.asarray(batch.column("reason").is_null()))
            wanted = rows[np.searchsorted(rows, passed) : np.searchsorted(rows, passed + len(standing))] - passed
            passed += len(standing)
            if len(wanted):
                column = batch.column("text").cast(pa.binary())
                yield [column[row].as_py() for row in standing[wanted].tolist()]


def compare(task: Task) -> None:
    catalogue = task.catalogue
    low, high = catalogue.span(task.number)
    pairs = between(task.folder / "pairs", catalogue.num_ranges, low, high)
    pairs = np.unique(pairs, axis=1) if pairs.shape[1] else pairs
    sets = Sets(task.folder / "sets", catalogue)
    found = [np.zeros((3, 0), np.int64)]
    for block in sets.blocks(pairs):
        members, starts, ends = sets.load(block)
        alike = minhash.jaccard(members, starts, ends)
        near = alike >= task.rules.group_jaccard
        found.append(np.concatenate((block[:, near], alike[None, near].view(np.int64))))
    shuffle.save(task.out("alike"), np.concatenate(found, axis=1))


class Sets:
    """The sets that `keep_sets` left, mapped, group by group as they are asked for."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self._folder, self._catalogue = folder, catalogue
        self._opened: dict[int, tuple[Hashes, Ints, Ints]] = {}

    def blocks(self, pairs: Ints) -> Iterator[Ints]:
        """Pairs in blocks whose sets take about BLOCK_BYTES, those of one group of `right` together; without those that
        cannot be alike at all: the smaller set is at best the whole intersection."""
        firsts = [span[0] for span in map(self._catalogue.span, range(len(self._catalogue.groups)))]
        right = np.searchsorted(firsts, pairs[1], side="right")
        pairs = pairs[:, np.argsort(right, kind="stable")]
        sizes = np.stack([self._sizes(side) for side in pairs])
        ends = np.cumsum(sizes.sum(axis=0) * 8)
        cuts = np.searchsorted(ends, np.arange(BLOCK_BYTES, int(ends[-1]) if len(ends) else 0, BLOCK_BYTES))
        yield from (block for block in np.split(pairs, cuts, axis=1) if block.shape[1])

    def load(self, pairs: Ints) -> tuple[Hashes, Ints, Ints]:
        """Members of the sets of `[2, n]` pairs, one after another, and int64 `[n, 2]`: where each begins and ends."""
        places, which = np.unique(pairs, return_inverse=True)
        members = [own for group, mine in self._by_group(places) for own in self._members(group, places[mine])]
        bounds = np.cumsum([0, *map(len, members)]).astype(np.int64)
        which = which.reshape(2, -1).T
        return np.concatenate([np.zeros(0, np.uint64), *members]), bounds[which], bounds[which + 1]

    def _sizes(self, places: Ints) -> Ints:
        sizes = np.zeros(len(places), np.int64)
        for group, mine in self._by_group(places):
            _, known, starts = self._open(group)
            rows = np.searchsorted(known, places[mine])
            sizes[mine] = starts[rows + 1] - starts[rows]
        return sizes

    def _members(self, group: int, places: Ints) -> Iterator[Hashes]:
        members, known, starts = self._open(group)
        rows = np.searchsorted(known, places)
        for start, end in zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True):
            yield members[start:end]

    def _by_group(self, places: Ints) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        firsts = [self._catalogue.span(group)[0] for group in range(len(self._catalogue.groups))]
        owners = np.searchsorted(firsts, places, side="right") - 1
        for group in np.unique(owners).tolist():
            yield group, owners == group

    def _open(self, group: int) -> tuple[Hashes, Ints, Ints]:
        if group not in self._opened:
            path = shuffle.spilled(self._folder, group)
            places, starts = (np.load(path.with_suffix(f".{name}.npy")) for name in ("places", "starts"))
            size = int(starts[-1])
            members = np.memmap(path, np.uint64, "r", shape=(size,)) if size else np.zeros(0, np.uint64)
            self._opened[group] = members, places, starts
        return self._opened[group]
