"""Batches from weighted shards. Nothing to save: a batch depends on the step and on nothing that came before it.

Sample i of a run belongs to a source by a fixed schedule; the source's r-th sample is the r-th window of its stream in
a seeded order, fresh each epoch. So resuming is starting at another step.
"""

import hashlib
import heapq
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from orfevre.data.shards import Shard
from orfevre.errors import InputError
from orfevre.recipe import Training

Ints = npt.NDArray[np.int64]

MAX_PERIOD = 2**16
"""Samples after which the schedule of sources repeats, so weights are rounded to 1/65,536 in longer runs."""


class Loader:
    """Draws batches from the train shards in the proportions of `weights`.

    A source's stream is tiled by windows of `sequence_length` tokens; the few left over at its end are not read, and a
    source shorter than one window is one window that wraps around. `pool_fraction` below 1 keeps a seeded subset of
    each source's windows (at least one), so that a proxy repeats a source as often as the target run would
    (arXiv 2606.07597): give it proxy tokens / target tokens.

    Raises InputError for a weighted source that has no tokens, ValueError for weights that are not a mixture.
    """

    def __init__(
        self,
        shards: Mapping[str, Shard],
        weights: Mapping[str, float],
        training: Training,
        seed: int,
        pool_fraction: float = 1.0,
    ) -> None:
        _check(shards, weights, pool_fraction)
        self._names = [name for name, weight in weights.items() if weight > 0]
        self._unread = [name for name, weight in weights.items() if weight == 0]
        self._length, self._batch, self._seed = training.sequence_length, training.batch_sequences, seed
        period = min(training.num_steps * training.batch_sequences, MAX_PERIOD)
        self._quotas = quotas([weights[name] for name in self._names], period)
        self._source_of, self._rank_of = schedule(self._quotas)
        self._streams = [np.asarray(shards[name].tokens) for name in self._names]
        self._windows = [max(1, len(stream) // self._length) for stream in self._streams]
        self._pools = np.array([max(1, round(pool_fraction * windows)) for windows in self._windows], dtype=np.int64)
        self._orders: dict[int, tuple[int, Ints]] = {}

    def batch(self, step: int) -> Ints:
        """int64 [batch_sequences, sequence_length + 1]: inputs are [:, :-1], next-token targets [:, 1:]."""
        positions = np.arange(step * self._batch, (step + 1) * self._batch)
        period, place = np.divmod(positions, len(self._source_of))
        sources = self._source_of[place]
        epochs, slots = np.divmod(period * self._quotas[sources] + self._rank_of[place], self._pools[sources])
        batch_BT = np.empty((self._batch, self._length + 1), dtype=np.int64)
        for row, source, epoch, slot in zip(batch_BT, sources.tolist(), epochs.tolist(), slots.tolist(), strict=True):
            start = int(self._order(source, epoch)[slot]) * self._length
            stream = self._streams[source]
            if start + self._length < len(stream):
                row[:] = stream[start : start + self._length + 1]
            else:  # the last target of the last window, or a source shorter than a window: begin again
                row[:] = stream[np.arange(start, start + self._length + 1) % len(stream)]
        return batch_BT

    def tokens_by_source(self, num_steps: int) -> dict[str, int]:
        """Tokens read from each source in the first `num_steps` steps."""
        periods, rest = divmod(num_steps * self._batch, len(self._source_of))
        counts = periods * self._quotas + np.bincount(self._source_of[:rest], minlength=len(self._names))
        read = dict(zip(self._names, (counts * self._length).tolist(), strict=True))
        return read | dict.fromkeys(self._unread, 0)

    def epochs(self, num_steps: int) -> dict[str, float]:
        """How often each source's pool has been read after `num_steps` steps."""
        read = self.tokens_by_source(num_steps)
        pools = zip(self._names, self._pools.tolist(), self._streams, strict=True)
        sizes = {name: min(pool * self._length, len(stream)) for name, pool, stream in pools}
        return {name: read[name] / sizes[name] if name in sizes else 0.0 for name in read}

    def _order(self, source: int, epoch: int) -> Ints:
        """Window numbers in the order of this epoch. The last one used is kept: epochs follow one another."""
        if (kept := self._orders.get(source)) is not None and kept[0] == epoch:
            return kept[1]
        name, windows, pool = self._names[source], self._windows[source], int(self._pools[source])
        order = shuffled(pool, f"{self._seed}/{name}/epoch {epoch}")
        if pool < windows:
            order = shuffled(windows, f"{self._seed}/{name}/pool")[:pool][order]
        self._orders[source] = (epoch, order)
        return order


def quotas(weights: list[float], total: int) -> Ints:
    """Whole numbers in the proportions of `weights` that sum to `total`, each within one of its share.

    Largest remainders (Hamilton); ties go to the earlier source.
    """
    shares = np.asarray(weights, dtype=np.float64) / sum(weights) * total
    counts = np.floor(shares).astype(np.int64)
    for index in np.argsort(counts - shares, kind="stable")[: total - int(counts.sum())]:
        counts[index] += 1
    return counts


def schedule(counts: Ints) -> tuple[Ints, Ints]:
    """Spread counts[s] samples of each source evenly: the source of each position, and its rank in that source.

    Every prefix of length i holds each source's i x counts[s] / total within less than one sample. Merging the ideal
    times (k + 1/2) / counts[s] does not give that (many equal sources fall due at once), but serving the earliest
    deadline does: the k-th sample of a source may stand from position floor(k / share) to ceil((k + 1) / share) - 1
    (Tijdeman 1980, Steiner and Yeomans 1993).
    """
    total, num = int(counts.sum()), counts.tolist()
    source_of, rank_of = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    waiting = [(0, source, 0) for source, count in enumerate(num) if count]  # (release, source, rank)
    ready: list[tuple[int, int, int]] = []  # (deadline, source, rank)
    for position in range(total):
        while waiting and waiting[0][0] <= position:
            _, source, rank = heapq.heappop(waiting)
            heapq.heappush(ready, (-(-(rank + 1) * total // num[source]) - 1, source, rank))
        _, source, rank = heapq.heappop(ready)
        source_of[position], rank_of[position] = source, rank
        if rank + 1 < num[source]:
            heapq.heappush(waiting, ((rank + 1) * total // num[source], source, rank + 1))
    return source_of, rank_of


def shuffled(size: int, key: str) -> Ints:
    """0 .. size - 1 in an order drawn from `key`; about 0.2 microseconds and 32 bytes a number at the peak.

    Sorts SplitMix64 hashes rather than asking NumPy's generator, whose streams may change between releases.
    """
    start = np.uint64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little"))
    mixed = np.arange(size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start  # wraps modulo 2**64, as meant
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable").astype(np.int64)


def _check(shards: Mapping[str, Shard], weights: Mapping[str, float], pool_fraction: float) -> None:
    if not all(weight >= 0 for weight in weights.values()) or abs(sum(weights.values()) - 1) > 1e-6:
        raise ValueError(f"weights {dict(weights)} are not a mixture: they must be 0 or more and sum to 1")
    if not 0 < pool_fraction <= 1:
        raise ValueError(f"pool_fraction {pool_fraction} must be above 0 and at most 1")
    for name, weight in weights.items():
        if weight > 0 and (name not in shards or len(shards[name].tokens) == 0):
            raise InputError(
                f"source {name} has weight {weight:g} but no training tokens; give it text or a weight of 0 "
                f"(mix.max_weights.{name} = 0)"
            )
