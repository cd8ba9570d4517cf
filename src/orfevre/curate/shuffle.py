"""The external shuffle of deduplication: from parts to documents that share a key, through files.

    spill   (a group of parts)   its records, partitioned by range of key, in one file with the place of each cut
    gather  (a range of keys)    the records of that range out of every group's file

Both are for pure functions from files to files, so any runner may map them. Memory is a group's or a range's records,
whatever the number of documents.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate.catalogue import Catalogue

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

MAX_RANGES = 2**16
"""Numbers of ranges are sorted as 16 bits, by radix."""


def save(path: Path, array: NDArray[np.generic]) -> None:
    """Write aside and rename, so that a file that stands is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    with aside.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    aside.replace(path)


def spill(path: Path, records: NDArray[np.void], num_ranges: int) -> None:
    """Write `records` by range of their first field, uint64, as `path` (.npy) and its cuts int64 `[num_ranges + 1]`."""
    assert 0 < num_ranges <= MAX_RANGES
    name = records.dtype.names[0] if records.dtype.names else ""
    ranges = _range_of(records[name], num_ranges)
    order = np.argsort(ranges, kind="stable") if num_ranges > 1 else slice(None)
    cuts = np.zeros(num_ranges + 1, np.int64)
    np.cumsum(np.bincount(ranges, minlength=num_ranges), out=cuts[1:])
    save(_cuts_of(path), cuts)
    save(path, records[order])  # last: a file that stands has its cuts


def gather(folder: Path, catalogue: Catalogue, number: int) -> tuple[NDArray[np.void], Ints]:
    """Records of a range of keys, out of the files `<group>.npy` of `folder`, and their documents' places.

    The last field of a record, `row`, counts from the first document of its group.
    """
    found, places = [], []
    for group in range(len(catalogue.groups)):
        own = part_of(spilled(folder, group), number)
        found.append(own)
        places.append(own["row"].astype(np.int64) + catalogue.span(group)[0])
    return np.concatenate(found), np.concatenate(places)


def part_of(path: Path, number: int) -> NDArray[np.void]:
    """Records of one range in a file that `spill` wrote."""
    start, end = np.load(_cuts_of(path), mmap_mode="r")[number : number + 2].tolist()
    return np.array(np.load(path, mmap_mode="r")[start:end])


def spilled(folder: Path, group: int) -> Path:
    return folder / f"{group:06d}.npy"


def _cuts_of(path: Path) -> Path:
    return path.with_suffix(".cuts.npy")


def _range_of(keys: Hashes, num_ranges: int) -> NDArray[np.uint16]:
    """Ranges of equal width over the upper 32 bits, which hashes fill evenly."""
    return (((keys >> np.uint64(32)) * np.uint64(num_ranges)) >> np.uint64(32)).astype(np.uint16)
