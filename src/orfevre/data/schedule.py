"""Which source each sample of a run comes from: whole quotas per block and per phase, looked up by position.

A run is phases, a phase is blocks of BLOCK samples at most. A phase gives each source its share of the phase, rounded
to a whole sample; so does every beginning of it that ends with a block; inside a block kernels.schedule.spread spreads
what the block holds. So a source is nowhere two samples from its share, and nowhere one sample in runs of one block.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orfevre.kernels import schedule

Ints = npt.NDArray[np.int64]

BLOCK = 2**16
"""Samples whose sources are worked out together: 1 MiB of memory, two milliseconds."""


class Span(NamedTuple):
    """Samples up to `end` (not included), from the span before it on, in proportions `weights`."""

    end: int
    weights: Sequence[float]


class Schedule:
    """Of the samples of a run; after its last sample it begins again."""

    def __init__(self, spans: Sequence[Span]) -> None:
        ends, counts = [np.zeros(1, np.int64)], [np.zeros((1, len(spans[0].weights)), np.int64)]
        for span in spans:
            begin = int(ends[-1][-1])
            if span.end > begin:
                block_ends, counted = blocks(quotas(span.weights, span.end - begin))
                ends.append(begin + block_ends)
                counts.append(counts[-1][-1] + counted)
        self._ends, self._counts = np.concatenate(ends), np.concatenate(counts)
        self.num_samples = int(self._ends[-1])

    def at(self, first: int, last: int) -> tuple[Ints, Ints]:
        """Source of each sample from `first` to before `last`, and how many of that source came before, int64 each."""
        sources, ranks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        while first < last:
            again, place = divmod(first, self.num_samples)
            block = int(np.searchsorted(self._ends, place, side="right")) - 1
            begin, end = self._ends[block : block + 2].tolist()
            taken = slice(place - begin, min(end - place, last - first) + place - begin)
            source_of, rank_of = _spread((self._counts[block + 1] - self._counts[block]).tobytes())
            before = again * self._counts[-1] + self._counts[block]
            sources.append(source_of[taken])
            ranks.append(rank_of[taken] + before[source_of[taken]])
            first += taken.stop - taken.start
        return np.concatenate(sources), np.concatenate(ranks)

    def counts(self, num_samples: int) -> Ints:
        """Samples of each source among the first `num_samples`, int64 [num_sources]."""
        again, place = divmod(num_samples, self.num_samples)
        block = int(np.searchsorted(self._ends, place, side="right")) - 1
        made: Ints = again * self._counts[-1] + self._counts[block]
        inside = place - int(self._ends[block])
        if inside:
            source_of, _ = _spread((self._counts[block + 1] - self._counts[block]).tobytes())
            made = made + np.bincount(source_of[:inside], minlength=len(made))
        return made


def quotas(weights: Sequence[float], total: int) -> Ints:
    """Whole numbers in the proportions of `weights` that sum to `total`, each within one of its share.

    Largest remainders (Hamilton); ties go to the earlier source.
    """
    shares = np.asarray(weights, dtype=np.float64) / sum(weights) * total
    counts = np.floor(shares).astype(np.int64)
    for index in np.argsort(counts - shares, kind="stable")[: total - int(counts.sum())]:
        counts[index] += 1
    return counts


def blocks(counts: Ints) -> tuple[Ints, Ints]:
    """Cut a phase of counts[s] samples a source into blocks: int64 [num_blocks], where each ends, and int64
    [num_blocks, num_sources], how many samples of each source there are up to there.

    Up to the end of every block a source has its share rounded up or down, never fewer than before. A block takes, of
    the samples that may have come by its end, those whose time runs out first: unit jobs with release times and
    deadlines on a machine of BLOCK jobs at once, for which the earliest deadline first finds what exists, and it exists
    because the shares themselves, cut into fractions, fit.
    """
    total = int(counts.sum())
    num_blocks = -(-total // BLOCK)
    ends = np.array([total * (block + 1) // num_blocks for block in range(num_blocks)], np.int64)
    made = np.zeros((num_blocks, len(counts)), np.int64)
    before = np.zeros(len(counts), np.int64)
    for block, end in enumerate(ends.tolist()):
        due, over = _shares(counts, end, total)
        made[block] = np.maximum(before, due)
        may = np.flatnonzero((made[block] == due) & over)
        runs_out = (due[may] + 1) / counts[may]  # when, as a share of the phase
        missing = end - int(made[block].sum())
        made[block, may[np.argsort(runs_out, kind="stable")[:missing]]] += 1
        before = made[block]
    assert np.array_equal(before, counts) and np.array_equal(made.sum(axis=1), ends)
    return ends, made


def _shares(counts: Ints, end: int, total: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """counts x end / total rounded down, and where there is a remainder; exact beyond what int64 products hold."""
    pairs = [divmod(count * end, total) for count in counts.tolist()]
    return np.array([pair[0] for pair in pairs], np.int64), np.array([pair[1] > 0 for pair in pairs], np.bool_)


@lru_cache(maxsize=4)
def _spread(counts: bytes) -> tuple[Ints, Ints]:
    """Read-only, since it is kept."""
    made = schedule.spread(np.frombuffer(counts, np.int64))
    for array in made:
        array.flags.writeable = False
    return made
