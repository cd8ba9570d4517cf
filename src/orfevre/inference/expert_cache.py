"""Experts that lie in a model's files: those in use stay in a cache of fixed size, the others are read when asked for.

A decoder goes through the layers over and over, so the least recently used expert of all is the one that is needed
soonest, and a plain LRU cache smaller than one round would never hit. Places are therefore shared out evenly over the
layers, and within what a layer has more than its share the least recently used expert goes first. A few places belong
to no layer, so that there is room to read into while others are computed with.

Shapes: H hidden, F inner width of an expert, E experts.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from .held import Kept

Pair = tuple[Kept, Kept]
"""w13 `[2F, H]` and w2 `[H, F]` of one expert."""
READERS = 2
"""Threads that read while hits are computed: as many as the small machines this is for have cores."""


class Files(Protocol):
    """Where experts come from."""

    def room(self) -> Pair:
        """Memory for one expert, to be read into again and again."""

    def read(self, layer: int, e: int, room: Pair) -> int:
        """Fill `room`; the bytes read. Called by several threads. Raises UserError for a file that is not as it was."""


@dataclass
class Statistics:
    """Of a cache since it was made."""

    hits: int = 0
    """Experts asked for that were there: each counts once for a layer's call, however many tokens it is for."""
    misses: int = 0
    bytes_read: int = 0
    reading_seconds: float = 0.0
    """Of all readers together."""
    waiting_seconds: float = 0.0
    """For which there was nothing to compute until a read was done."""

    @property
    def asked(self) -> int:
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """From 0 to 1; 0 where nothing was asked for."""
        return self.hits / self.asked if self.asked else 0.0


class ExpertCache:
    def __init__(self, files: Files, num_layers: int, capacity: int, readers: int = READERS) -> None:
        """`capacity` is in experts, 1 or more."""
        assert capacity >= 1
        self.capacity, self.statistics = capacity, Statistics()
        self._files, self._readers = files, ThreadPoolExecutor(readers, "expert reader")
        owned = max(0, capacity - readers)
        self._shares = [owned // num_layers + (layer < owned % num_layers) for layer in range(num_layers)]
        self._held: OrderedDict[tuple[int, int], Pair] = OrderedDict()
        """The least recently used first."""
        self._pinned: set[tuple[int, int]] = set()
        self._counts = [0] * num_layers
        """Places of each layer, those that are being read into too."""
        self._free: list[Pair] = []
        self._num_rooms = 0
        self._lock = threading.Lock()

    def held(self) -> list[tuple[int, int]]:
        """Layer and number of the experts that are here, the least recently used first."""
        return list(self._held)

    def each(self, layer: int, asked: Sequence[int], use: Callable[[int, Pair], None]) -> None:
        """Call `use(e, pair)` once for each of the different experts `asked` of a layer: those that are here first,
        while the others are being read. An expert is not evicted before it was used.

        Raises UserError for a file that cannot be read; what was asked for is then used in part.
        """
        here = [e for e in asked if (layer, e) in self._held]
        missing = deque(e for e in asked if (layer, e) not in self._held)
        self.statistics.hits += len(here)
        self.statistics.misses += len(missing)
        for e in here:
            self._held.move_to_end((layer, e))
            self._pinned.add((layer, e))
        coming: deque[tuple[int, Pair, Future[None]]] = deque()
        try:
            self._begin(layer, missing, coming)
            for e in here:
                use(e, self._held[layer, e])
                self._pinned.discard((layer, e))
                self._begin(layer, missing, coming)
            while coming:
                e, room, done = coming[0]
                self._wait(done)
                coming.popleft()
                self._held[layer, e] = room
                self._pinned.add((layer, e))
                self._begin(layer, missing, coming)
                use(e, room)
                self._pinned.discard((layer, e))
                self._begin(layer, missing, coming)
        finally:
            self._pinned.clear()
            self._give_up(layer, coming)

    def _begin(self, layer: int, missing: deque[int], coming: deque[tuple[int, Pair, Future[None]]]) -> None:
        """Start reading what is missing, as far as there is room."""
        while missing and (room := self._room(layer)) is not None:
            e = missing.popleft()
            self._counts[layer] += 1
            coming.append((e, room, self._readers.submit(self._read, layer, e, room)))

    def _room(self, layer: int) -> Pair | None:
        """Memory for another expert of this layer; None while all that may go is in use."""
        if self._free:
            return self._free.pop()
        if self._num_rooms < self.capacity:
            self._num_rooms += 1
            return self._files.room()
        self._counts[layer] += 1  # as it will be
        over = (key for key in self._held if self._counts[key[0]] > self._shares[key[0]] and key not in self._pinned)
        victim = next(over, None)
        self._counts[layer] -= 1
        if victim is None:
            return None
        self._counts[victim[0]] -= 1
        return self._held.pop(victim)

    def _read(self, layer: int, e: int, room: Pair) -> None:
        started = time.perf_counter()
        num_bytes = self._files.read(layer, e, room)
        with self._lock:
            self.statistics.bytes_read += num_bytes
            self.statistics.reading_seconds += time.perf_counter() - started

    def _wait(self, done: Future[None]) -> None:
        started = time.perf_counter()
        done.result()
        self.statistics.waiting_seconds += time.perf_counter() - started

    def _give_up(self, layer: int, coming: deque[tuple[int, Pair, Future[None]]]) -> None:
        """After a failure: memory that is being read into is free when its reader is done."""
        wait([done for _, _, done in coming])
        self._free += [room for _, room, _ in coming]
        self._counts[layer] -= len(coming)
