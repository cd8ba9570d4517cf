"""Samples of several sources in one row, each source spread evenly: schedule.c where it is built, a heap elsewhere."""

import ctypes
import heapq
from functools import cache

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import native

Ints = NDArray[np.int64]


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """Put counts[s] samples of each source s in a row: the source of each position, and its rank in that source.

    Every prefix of length i holds each source's i x counts[s] / total within less than one sample. Merging the ideal
    times (k + 1/2) / counts[s] does not give that (many equal sources fall due at once), but serving the earliest
    deadline does: the k-th sample of a source may stand from position floor(k / share) to ceil((k + 1) / share) - 1
    (Tijdeman 1980, Steiner and Yeomans 1993).
    """
    counts = np.ascontiguousarray(counts, np.int64)
    total = int(counts.sum())
    assert len(counts) and counts.min() >= 0 and total < 2**31 - 1, "counts of a block are 0 or more, and few"
    too_many = total << (len(counts) - 1).bit_length() >= 2**31  # for the kernel's keys
    if too_many or (kernel := _library()) is None:
        return _heap(counts.tolist(), total)
    source_of, rank_of = np.empty(total, np.int64), np.empty(total, np.int64)
    room = np.empty((3, len(counts)), np.int32)
    done = kernel.orfevre_earliest_deadline(
        counts.ctypes.data, len(counts), total, *(row.ctypes.data for row in room), source_of.ctypes.data,
        rank_of.ctypes.data,
    )  # fmt: skip
    assert done == total, "earliest deadline first always finds a sample"
    return source_of, rank_of


def _heap(counts: list[int], total: int) -> tuple[Ints, Ints]:
    source_of, rank_of = np.empty(total, np.int64), np.empty(total, np.int64)
    waiting = [(0, source, 0) for source, count in enumerate(counts) if count]  # (release, source, rank)
    ready: list[tuple[int, int, int]] = []  # (deadline, source, rank)
    for position in range(total):
        while waiting and waiting[0][0] <= position:
            _, source, rank = heapq.heappop(waiting)
            heapq.heappush(ready, (-(-(rank + 1) * total // counts[source]) - 1, source, rank))
        _, source, rank = heapq.heappop(ready)
        source_of[position], rank_of[position] = source, rank
        if rank + 1 < counts[source]:
            heapq.heappush(waiting, ((rank + 1) * total // counts[source], source, rank + 1))
    return source_of, rank_of


@cache
def _library() -> ctypes.CDLL | None:
    address, count = ctypes.c_void_p, ctypes.c_int64
    return native.declared({"orfevre_earliest_deadline": (count, [address, count, count, *[address] * 5])})
