"""The shuffle of deduplication on keys alone: time, disk and memory a million documents, and that it finds what was
planted and nothing else. docs/concepts/deduplication.md works out a billion and ten billion from it.

There are no texts: parts get random digests and band keys. Of every hundred documents five are copies of another, and
twenty share a band or more with a neighbour far away, as near-duplicates do. Comparing texts is not in these figures;
curation_dedup times it.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate import candidates, catalogue, choose, signs
from orfevre.curate.candidates import Task
from orfevre.curate.catalogue import Catalogue, Part
from orfevre.recipe import Dedup

RULES = Dedup()
NUM_DOCUMENTS = 2_000_000
PART_DOCUMENTS = 100_000
COPIES, NEAR = 0.05, 0.20

Ints = NDArray[np.int64]


def run(data: Path | None = None, *, small: bool = False) -> int:
    num_documents = 20_000 if small else NUM_DOCUMENTS
    with tempfile.TemporaryDirectory() as folder:
        _simulate(Path(folder), num_documents, num_documents // 4 if small else PART_DOCUMENTS)
    _choose(num_documents)
    return 0


def _simulate(folder: Path, num_documents: int, part_documents: int) -> None:
    parts, copies, near = plant(folder, num_documents, part_documents)
    known = catalogue.build(parts, RULES)
    known.save(folder)
    print(
        f"{num_documents / 1e6:g} million documents, {num_documents * RULES.num_bands / 1e6:g} million band keys, "
        f"{len(parts)} parts, {len(known.groups)} groups, {known.num_ranges} ranges; {_resident():.0f} MB held before"
    )
    steps: list[tuple[Callable[[Task], None], int, str]] = [
        (candidates.spill_digests, len(known.groups), "digests"),
        (candidates.find_equal, known.num_ranges, "equal"),
        (candidates.spill_bands, len(known.groups), "bands"),
        (candidates.find_pairs, known.num_ranges, "pairs"),
    ]
    total = 0.0
    for function, count, kind in steps:
        started = _cpu_seconds()
        for number in range(count):
            function(Task(folder, number, RULES))
        total += (spent := _cpu_seconds() - started)
        size = sum(path.stat().st_size for path in (folder / kind).iterdir())
        print(
            f"  {function.__name__:14}{spent / num_documents * 1e6:7.2f} CPU s a million documents, "
            f"{size / num_documents:6.1f} bytes each, {_resident():.0f} MB held at most",
            flush=True,
        )
    print(f"  in all        {total / num_documents * 1e6:7.2f} CPU s a million documents")
    _check(folder, known, copies, near)


def plant(folder: Path, num_documents: int, part_documents: int) -> tuple[list[Part], Ints, Ints]:
    """Parts with copies and pairs that share bands, `[2, n]` places each; a document is in one pair at most."""
    rng = np.random.default_rng(1)
    mixed = rng.permutation(num_documents)
    num_copies, num_near = int(num_documents * COPIES / 2), int(num_documents * NEAR / 2)
    copies = np.sort(mixed[: 2 * num_copies].reshape(2, -1), axis=0)
    near = np.sort(mixed[2 * num_copies : 2 * (num_copies + num_near)].reshape(2, -1), axis=0)
    origin = np.arange(num_documents)
    origin[copies[1]], origin[near[1]] = copies[0], near[0]
    is_copy = np.zeros(num_documents, bool)
    is_copy[copies[1]] = True
    parts = []
    for start in range(0, num_documents, part_documents):
        path = folder / f"part-{start // part_documents:06d}.arrow"
        own = np.arange(start, min(start + part_documents, num_documents))
        _write_part(path, own, origin[own], is_copy[own])
        parts.append(Part(path, 0))
    return parts, copies, near


def _write_part(path: Path, own: Ints, origin: Ints, is_copy: NDArray[np.bool_]) -> None:
    """Keys are hashes of (document, band); those of a pair's second are its first's in one band of three."""
    from orfevre.kernels.minhash_numpy import mix

    bands = np.arange(RULES.num_bands)
    takes = is_copy[:, None] | ((own != origin)[:, None] & ((own[:, None] + bands) % 3 == 0))
    whose = np.where(takes, origin[:, None], own[:, None])
    index = np.zeros(len(own), signs.INDEX)
    index["id"] = mix(own.astype(np.uint64) + np.uint64(10**12))
    text = np.where(is_copy, origin, own).astype(np.uint64)
    index["high"], index["low"], index["num_bytes"] = mix(text), mix(text + np.uint64(2**40)), 4000
    np.save(path.with_suffix(".index.npy"), index)
    np.save(path.with_suffix(".keys.npy"), mix((whose * 64 + bands + 1).astype(np.uint64)))
    np.save(path.with_suffix(".shingles.npy"), np.full(len(own), 600, np.int32))


def _check(folder: Path, known: Catalogue, copies: Ints, near: Ints) -> None:
    everything = (0, known.num_documents)
    found = candidates.copies_between(folder, known, *everything)
    sharing = np.unique(candidates.between(folder / "pairs", known.num_ranges, *everything), axis=1)
    right = _equal(np.sort(found, axis=0), copies) and _equal(sharing, near)
    verdict = "all found, nothing else" if right else "NOT what was found"
    print(f"  {copies.shape[1]} copies and {near.shape[1]} pairs planted: {verdict}")
    assert right


def _equal(found: Ints, planted: Ints) -> bool:
    return np.array_equal(found[:, np.argsort(found[0])], planted[:, np.argsort(planted[0])])


def _choose(num_documents: int) -> None:
    """Documents in pairs, a pair and a half for each, half of them near-duplicates."""
    rng = np.random.default_rng(2)
    pairs = rng.integers(0, num_documents, (2, num_documents * 3 // 2))
    pairs = pairs[:, pairs[0] != pairs[1]]
    before, started = _resident(), _cpu_seconds()
    choice = choose.choose(num_documents, pairs, rng.uniform(0.6, 1.0, pairs.shape[1]), RULES.jaccard)
    print(
        f"choosing among {num_documents / 1e6:g} million documents in {pairs.shape[1] / 1e6:g} million pairs: "
        f"{_cpu_seconds() - started:.2f} CPU s, {_resident() - before:.0f} MB more held, "
        f"{int((choice.twin == np.arange(num_documents)).sum())} stay"
    )


def _cpu_seconds() -> float:
    return time.process_time()


def _resident() -> float:
    """The most this process has held, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 / 1024 if os.uname().sysname == "Linux" else 1e6)
