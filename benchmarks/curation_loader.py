"""Which window each sample of a run reads: worked out by arithmetic, beside an index that is built first, one thread.

The peer stands for trainers that build their order before they start (a permutation of each source's windows for each
epoch by NumPy's generator, a draw of sources by weight): what it costs to build and hold, and to look up. Ours builds
nothing; `gather` also copies the tokens of each window out of the shards.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.paired import ratio
from orfevre.data import schedule
from orfevre.data.loader import CHUNK, Loader
from orfevre.data.schedule import BLOCK
from orfevre.data.shards import Shard
from orfevre.recipe import Training

GOAL = 200.0
"""Nanoseconds a sample, arithmetic alone."""

NUM_SOURCES = 20
LENGTH = 256
TURNS = 7


def run(data: Path | None = None, *, small: bool = False) -> int:
    """`data` is not needed."""
    num_samples = 20_000 if small else 1_000_000
    turns = 2 if small else TURNS
    training = Training(tokens=num_samples * LENGTH, batch_sequences=1000, sequence_length=LENGTH)
    shards = _shards(200 if small else 4000)
    weights = _weights()
    made = Loader(shards, weights, training, seed=1)
    windows = np.array([len(shard.tokens) // LENGTH for shard in shards.values()])
    chunks = [range(first, first + CHUNK) for first in range(0, min(num_samples, BLOCK) - CHUNK + 1, CHUNK)]
    count = len(chunks) * CHUNK
    spent: dict[str, list[float]] = {"arithmetic": [], "eights": [], "gather": [], "index": []}
    for turn in range(turns):
        for name, work in (
            ("arithmetic", lambda: [made._worked_out(chunk.start, chunk.stop) for chunk in chunks]),
            ("eights", lambda: [made.samples(first, first + 8) for first in range(0, count, 8)]),
            ("gather", lambda: [made.batch(step) for step in range(count // 1000)]),
            ("index", lambda: _index(windows, weights, num_samples, turn)),  # noqa: B023 - called at once
        ):
            schedule._spread.cache_clear()  # a block that nobody has asked for yet
            made._chunk = (-1, *made._chunk[1:])
            spent[name].append(_timed(work) / {"gather": count // 1000 * 1000, "index": num_samples}.get(name, count))
    held = 16 * (CHUNK + BLOCK) / 1e6
    print(f"{NUM_SOURCES} sources, {windows.sum():,} windows of {LENGTH} tokens, {num_samples:,} samples")
    words = {
        "arithmetic": f"{CHUNK} samples at once, from a new block of {BLOCK} on",
        "eights": "the same, eight samples a call",
        "gather": "the same, in batches of 1000 with their tokens as int64",
        "index": f"built first: {16 * num_samples / 1e6:.1f} MB for these samples; ours holds {held:.1f}",
    }
    for name, seconds in spent.items():
        each = [1e9 * one for one in seconds]
        print(f"{name:12}{median(each):8.1f} ns a sample ({min(each):.1f} to {max(each):.1f}); {words[name]}")
    ours = 1e9 * median(spent["arithmetic"])
    print(f"goal of {GOAL:g} ns a sample: {'met' if ours < GOAL else 'missed'}, {ours:.1f}")
    print("\n".join(ratio(spent["arithmetic"], spent["index"]).lines("an index")))
    return 0


def _index(windows: Any, weights: dict[str, float], num_samples: int, seed: int) -> tuple[Any, Any]:
    """Source and window of every sample."""
    generator = np.random.default_rng(seed)
    source_of = generator.choice(len(windows), num_samples, p=np.array(list(weights.values()))).astype(np.int64)
    window_of = np.empty(num_samples, np.int64)
    for source, count in enumerate(np.bincount(source_of, minlength=len(windows)).tolist()):
        epochs = -(-count // int(windows[source]))
        orders = [generator.permutation(int(windows[source])) for _ in range(epochs)]
        window_of[source_of == source] = np.concatenate([np.zeros(0, np.int64), *orders])[:count]
    return source_of, window_of


def _shards(windows: int) -> dict[str, Shard]:
    shards = {}
    for number in range(NUM_SOURCES):
        length = (windows + number * windows // 10) * LENGTH
        shards[f"source{number:02}"] = Shard(
            source=f"source{number:02}",
            split="train",
            tokens=np.arange(length, dtype=np.uint32).astype(np.uint16),
            documents=np.array([0, length]),
            num_bytes=np.array([length]),
            ids_path=Path("none"),
        )
    return shards


def _weights() -> dict[str, float]:
    drawn = np.random.default_rng(1).dirichlet(np.ones(NUM_SOURCES))
    return {f"source{number:02}": float(weight) for number, weight in enumerate(drawn)}


def _timed(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
