"""Finding near-duplicates: the C MinHash kernel beside its NumPy twin and, where installed, datasketch.

Speed is of signatures of 128 values from real text that every machine has, the standard library's modules, in CPU
seconds, chunk by chunk in turns. All three take words of letters and digits, five in a row, in lower case. datasketch
leaves words and shingles to its user: here a regular expression and joined slices, hashed by its default function.

Given a folder with near_duplicates.jsonl.zst (`id`, `text`) and near_duplicates_pairs.jsonl.zst (`a`, `b`, exact
`jaccard_w5`), also how many of the pairs at least 0.8 alike each finds, by 32 bands of 4 values and then the whole
signatures, as curation does. Our permutations are fixed; datasketch draws its own from each of five seeds.
"""

import importlib.util
import io
import json
import re
import sys
import sysconfig
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zstandard

from benchmarks.paired import ratio
from orfevre.kernels import minhash, minhash_numpy, native
from orfevre.recipe import Dedup

RULES = Dedup()
WIDTH = RULES.num_bands * RULES.rows_per_band
CHUNK_BYTES = 400_000
NUM_CHUNKS = 12
SEEDS = range(1, 6)
WORD = re.compile(r"[a-z0-9\u0080-\U0010ffff]+")
"""text.c's words, of lower-cased text."""

Signer = Callable[[Sequence[bytes]], Any]
Pairs = set[frozenset[str]]


def run(data: Path | None = None, *, small: bool = False) -> int:
    """2 where the C kernel is not built."""
    if native.library() is None:
        print("near_duplicates times the C kernel, which is not built: install a C compiler, then", file=sys.stderr)
        print("pip install -e . --force-reinstall --no-deps", file=sys.stderr)
        return 2
    chunks = list(standard_library(40_000 if small else CHUNK_BYTES, 2 if small else NUM_CHUNKS))
    compare_speed(chunks)
    place = next((each for each in _places(data) if (each / "near_duplicates.jsonl.zst").is_file()), None)
    if place is not None:
        compare_finds(place)
    elif data is not None:
        print(f"recall and precision: skipped, {data} holds no near_duplicates.jsonl.zst")
    else:
        print("recall and precision: skipped, they need --data FOLDER with near_duplicates.jsonl.zst")
    return 0


def signers() -> dict[str, Signer]:
    """The kernel first, then its peers."""
    known: dict[str, Signer] = {
        "C kernel": lambda texts: minhash.signatures(texts, WIDTH)[0],
        "NumPy twin": lambda texts: minhash_numpy.signatures(texts, *minhash.permutations(WIDTH))[0],
    }
    if importlib.util.find_spec("datasketch"):
        known["datasketch"] = by_datasketch
    else:
        print("datasketch is not installed (pip install -e '.[benchmark]'): the NumPy twin is the only peer")
    return known


def by_datasketch(texts: Sequence[bytes], seed: int = 1) -> list[Any]:
    from datasketch import MinHash

    return list(MinHash.bulk(map(shingles, texts), num_perm=WIDTH, seed=seed))


def shingles(text: bytes) -> set[bytes]:
    words = WORD.findall(text.decode(errors="replace").lower())
    return {" ".join(words[start : start + 5]).encode() for start in range(max(1, len(words) - 4))}


def standard_library(chunk_bytes: int, num_chunks: int) -> Iterator[list[bytes]]:
    """Modules in the order of their names, in chunks of at least `chunk_bytes`."""
    held: list[bytes] = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("**/*.py")):
        if {"site-packages", "dist-packages", "test"}.isdisjoint(path.parts):
            held.append(path.read_bytes())
        if sum(map(len, held)) >= chunk_bytes:
            yield held
            held, num_chunks = [], num_chunks - 1
            if num_chunks == 0:
                return


def compare_speed(chunks: Sequence[Sequence[bytes]]) -> None:
    known = signers()
    seconds: dict[str, list[float]] = {name: [] for name in known}
    for sign in known.values():
        sign(chunks[0])  # warms caches, loads libraries
    for chunk in chunks:
        for name, sign in known.items():
            started = time.process_time()
            sign(chunk)
            seconds[name].append(time.process_time() - started)
    megabytes = sum(len(text) for chunk in chunks for text in chunk) / 1e6
    print(f"signatures of {WIDTH} values, {megabytes:.1f} MB of the standard library in {len(chunks)} chunks")
    for name, figures in seconds.items():
        print(f"  {name:12}{megabytes / sum(figures):10.2f} MB per CPU second")
    for name in list(known)[1:]:
        for line in ratio(seconds["C kernel"], seconds[name]).lines(name):
            print(f"  {line}", flush=True)


def compare_finds(folder: Path) -> None:
    texts = {row["id"]: row["text"].encode() for row in _rows(folder / "near_duplicates.jsonl.zst")}
    true = {
        frozenset((row["a"], row["b"]))
        for row in _rows(folder / "near_duplicates_pairs.jsonl.zst")
        if row["jaccard_w5"] >= RULES.jaccard
    }
    print(f"pairs at least {RULES.jaccard} alike: {len(true)} among {len(texts)} documents")
    ours = _score(found_by_kernel(texts), true)
    print(f"  C kernel     recall {ours[0]:.3f}, precision {ours[1]:.3f}")
    if not importlib.util.find_spec("datasketch"):
        return
    theirs = [_score(found_by_datasketch(texts, seed), true) for seed in SEEDS]
    for what, our, peers in zip(("recall", "precision"), ours, zip(*theirs, strict=True), strict=True):
        low, middle, high = min(peers), median(peers), max(peers)
        print(f"  datasketch   {what} {middle:.3f} (min {low:.3f}, max {high:.3f}, {len(SEEDS)} seeds)")
        print(f"  ratio of {what}, orfevre / datasketch: {our / middle:.3f} ({our / high:.3f} to {our / low:.3f})")
        if our < middle:
            print(f"  orfevre loses: datasketch has the better {what} with {sum(our < p for p in peers)} seeds")


def _score(found: Pairs, true: Pairs) -> tuple[float, float]:
    """Recall and precision."""
    return len(found & true) / len(true), len(found & true) / max(1, len(found))


def found_by_kernel(texts: dict[str, bytes]) -> Pairs:
    names = list(texts)
    values, num_shingles = minhash.signatures(list(texts.values()), WIDTH)
    pairs = set()
    for keys in minhash.band_keys(values, RULES.num_bands):
        buckets = defaultdict(list)
        for place in np.flatnonzero(num_shingles):
            buckets[int(keys[place])].append(int(place))
        pairs |= {pair for bucket in buckets.values() for pair in combinations(bucket, 2)}
    return {
        frozenset((names[left], names[right]))
        for left, right in pairs
        if minhash.similarity(values[left], values[right]) >= RULES.jaccard
    }


def found_by_datasketch(texts: dict[str, bytes], seed: int) -> Pairs:
    from datasketch import MinHashLSH

    signed = dict(zip(texts, by_datasketch(list(texts.values()), seed), strict=True))
    index = MinHashLSH(num_perm=WIDTH, params=(RULES.num_bands, RULES.rows_per_band))
    for name, signature in signed.items():
        index.insert(name, signature)
    return {
        frozenset((name, other))
        for name, signature in signed.items()
        for other in index.query(signature)
        if other != name and signature.jaccard(signed[other]) >= RULES.jaccard
    }


def _places(data: Path | None) -> tuple[Path, ...]:
    return () if data is None else (data, data / "messy")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))
