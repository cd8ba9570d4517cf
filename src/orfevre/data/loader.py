"""Batches from weighted shards. Nothing to save but the step: a batch depends on it and on nothing that came before.

Sample i of a run belongs to a source by a fixed schedule; the source's r-th sample is the r-th window of its stream in
a keyed order, another each epoch. Both are worked out, not looked up in an index, so the order is the same however
many ranks read it, and resuming is starting at another step.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from orfevre.data import permutation
from orfevre.data.schedule import Schedule, Span
from orfevre.data.shards import Shard
from orfevre.errors import InputError
from orfevre.kernels import windows
from orfevre.recipe import Training
from orfevre.recipe.model import Phase

Ints = npt.NDArray[np.int64]

CHUNK = 2**13
"""Samples whose windows are worked out at once and kept, so that small batches cost no more than large ones."""


class Loader:
    """Draws batches from the train shards in the proportions of `weights`, or of what `phases` say in their time.

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
        phases: Sequence[Phase] = (),
    ) -> None:
        mixtures = _mixtures(weights, phases)
        _check(shards, mixtures, pool_fraction)
        every = list(dict.fromkeys(name for _, mixture in mixtures for name in mixture))
        self._names = [name for name in every if any(mixture.get(name, 0) > 0 for _, mixture in mixtures)]
        self._unread = [name for name in every if name not in self._names]
        self._length, self._batch = training.sequence_length, training.batch_sequences
        num_samples = training.num_steps * self._batch
        spans = [
            Span(round(until * num_samples), [mixture.get(name, 0.0) for name in self._names])
            for until, mixture in mixtures
        ]
        self._schedule = Schedule(spans)
        self._streams = [np.asarray(shards[name].tokens) for name in self._names]
        tiles = np.array([max(1, len(stream) // self._length) for stream in self._streams], np.int64)
        self._pools = np.maximum(1, np.round(pool_fraction * tiles).astype(np.int64))
        self._epoch_order = _Order(self._pools, [f"{seed}/{name}/epoch" for name in self._names])
        self._pool_order = _Order(tiles, [f"{seed}/{name}/pool" for name in self._names])
        self._whole = bool(np.array_equal(self._pools, tiles))
        self._chunk: tuple[int, Ints, Ints] = (-1, tiles, tiles)
        sizes = {name: len(stream) for name, stream in zip(self._names, self._streams, strict=True)}
        self.digest = _digest(seed, self._length, self._batch, pool_fraction, spans, sizes)

    def batch(self, step: int, rank: int = 0, num_ranks: int = 1) -> Ints:
        """int64 [rows, sequence_length + 1]: inputs are [:, :-1], next-token targets [:, 1:].

        All ranks' rows, one rank after another, are the batch of one rank; batch_sequences need not divide evenly.
        """
        if not 0 <= rank < num_ranks:
            raise ValueError(f"rank {rank} of {num_ranks}: ranks are numbered from 0")
        begin = step * self._batch
        first, last = (begin + self._batch * part // num_ranks for part in (rank, rank + 1))
        sources, numbers = self.samples(first, last)
        return windows.gather(self._streams, sources, numbers * self._length, self._length + 1)

    def samples(self, first: int, last: int) -> tuple[Ints, Ints]:
        """Number of the source and of its window for each sample from `first` to before `last`, int64 each."""
        pieces = []
        for chunk in range(first // CHUNK, -(-last // CHUNK)):
            if self._chunk[0] != chunk:
                self._chunk = (chunk, *self._worked_out(chunk * CHUNK, (chunk + 1) * CHUNK))
            taken = slice(max(0, first - chunk * CHUNK), min(CHUNK, last - chunk * CHUNK))
            pieces.append((self._chunk[1][taken], self._chunk[2][taken]))
        if len(pieces) == 1:
            return pieces[0]
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *(each[0] for each in pieces)]), np.concatenate(
            [none, *(each[1] for each in pieces)]
        )

    def tokens_by_source(self, num_steps: int) -> dict[str, int]:
        """Tokens read from each source in the first `num_steps` steps."""
        counts = self._schedule.counts(num_steps * self._batch)
        read = dict(zip(self._names, (counts * self._length).tolist(), strict=True))
        return read | dict.fromkeys(self._unread, 0)

    def epochs(self, num_steps: int) -> dict[str, float]:
        """How often each source's pool has been read after `num_steps` steps."""
        read = self.tokens_by_source(num_steps)
        pools = zip(self._names, self._pools.tolist(), self._streams, strict=True)
        sizes = {name: min(pool * self._length, len(stream)) for name, pool, stream in pools}
        return {name: read[name] / sizes[name] if name in sizes else 0.0 for name in read}

    def _worked_out(self, first: int, last: int) -> tuple[Ints, Ints]:
        sources, ranks = self._schedule.at(first, last)
        epochs, slots = np.divmod(ranks, self._pools[sources])
        numbers = self._epoch_order.of(sources, epochs, slots)
        if not self._whole:
            numbers = self._pool_order.of(sources, np.zeros_like(epochs), numbers)
        return sources, numbers


class _Order:
    """For each source, orders of its numbers below `sizes[source]`, one for every epoch."""

    def __init__(self, sizes: Ints, keys: Sequence[str]) -> None:
        self._sizes = sizes
        self._bases = np.array([permutation.digits(size) for size in sizes.tolist()], np.int64).T
        self._keys = np.array([permutation.key_of(key) for key in keys], np.uint64)

    def of(self, sources: Ints, epochs: Ints, numbers: Ints) -> Ints:
        keys = permutation.keys(self._keys[sources], epochs)
        return windows.permuted(numbers, self._sizes[sources], self._bases[:, sources], keys)


def _mixtures(weights: Mapping[str, float], phases: Sequence[Phase]) -> list[tuple[float, Mapping[str, float]]]:
    """What the recipe's phases come to: the share of the run at which each ends, and its weights."""
    if not phases:
        return [(1.0, weights)]
    none = dict.fromkeys(weights, 0.0)
    return [(phase.until, weights if phase.weights == "mixture" else none | dict(phase.weights)) for phase in phases]


def _digest(
    seed: int,
    length: int,
    batch: int,
    pool_fraction: float,
    spans: Sequence[Span],
    sizes: Mapping[str, int],
) -> str:
    """16 hex digits that change when any batch might: what must be the same for a run to go on."""
    phases = [(end, list(weights)) for end, weights in spans]
    facts = repr((seed, length, batch, pool_fraction, phases, list(sizes.items())))
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _check(
    shards: Mapping[str, Shard], mixtures: Sequence[tuple[float, Mapping[str, float]]], pool_fraction: float
) -> None:
    if not 0 < pool_fraction <= 1:
        raise ValueError(f"pool_fraction {pool_fraction} must be above 0 and at most 1")
    for _, weights in mixtures:
        if not all(weight >= 0 for weight in weights.values()) or not abs(sum(weights.values()) - 1) <= 1e-6:
            raise ValueError(f"weights {dict(weights)} are not a mixture: they must be 0 or more and sum to 1")
        for name, weight in weights.items():
            if weight > 0 and (name not in shards or len(shards[name].tokens) == 0):
                raise InputError(
                    f"source {name} has weight {weight:g} but no training tokens; give it text or a weight of 0 "
                    f"(mix.max_weights.{name} = 0, or 0 in train.phases)"
                )
