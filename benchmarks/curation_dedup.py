"""Deduplication beside datatrove, Daft, rensa and datasketch: JSON lines to Parquet, in CPU seconds, all in one run.

Text is the first English articles of --data (text/wiki_en, text/news_en), or the standard library's modules. Each peer
gets as much of it as takes it a second or so, in turns, and its cost a megabyte is set against ours in the same turn.
datatrove runs in this process, so that starting its workers does not count; Daft's and pyarrow's threads do count.

With near_duplicates of --data also the quality: which pairs at least 0.8 alike by their exact Jaccard similarity each
finds (recall), and how many of those it finds are (precision); then what other bands would find, and what they cost.
"""

import importlib.util
import io
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zstandard

from benchmarks import dedup_peers
from benchmarks.dedup_peers import RULES, Remover
from benchmarks.paired import ratio
from orfevre.kernels import minhash, minhash_numpy, native

REPEATS = 3
SHARD_BYTES = 8_000_000
MEGABYTES = {
    "orfevre": 32.0,
    "datatrove": 0.4,
    "datatrove, str.split": 2.0,
    "daft": 16.0,
    "rensa": 6.0,
    "datasketch": 3.0,
}
GOALS = {"datatrove": 100.0, "datatrove, str.split": 25.0, "daft": 3.0}
SETTINGS = ((14, 8), (16, 4), (20, 4), (24, 4), (25, 5), (32, 4))
"""Bands and rows whose recall is measured; 14 x 8 is datatrove's default."""


def run(data: Path | None = None, *, small: bool = False) -> int:
    """2 where the C kernel is not built."""
    if native.library() is None:
        print("curation_dedup times the C kernel, which is not built: install a C compiler, then", file=sys.stderr)
        print("pip install -e . --force-reinstall --no-deps", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        compare_speed(data, Path(folder), scale=0.02 if small else 1.0)
    compare_kernel(list(_texts(data, 400_000 if small else 8_000_000)))
    found = next((place for place in _places(data) if (place / "near_duplicates.jsonl.zst").is_file()), None)
    if found is None:
        print("recall and precision: skipped, they need --data FOLDER with near_duplicates.jsonl.zst")
        return 0
    compare_finds(found)
    return 0


def removers() -> dict[str, Remover]:
    """Ours, then the peers that are installed."""
    known: dict[str, tuple[str, Remover]] = {
        "orfevre": ("orfevre", dedup_peers.orfevre),
        "datatrove": ("datatrove", dedup_peers.datatrove),
        "datatrove, str.split": ("datatrove", partial(dedup_peers.datatrove, split_words=True)),
        "daft": ("daft", dedup_peers.daft),
        "rensa": ("rensa", dedup_peers.rensa),
        "datasketch": ("datasketch", dedup_peers.datasketch),
    }
    for package in dict.fromkeys(package for package, _ in known.values()):
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed (pip install -e '.[benchmark]'): skipped")
    return {name: remover for name, (package, remover) in known.items() if importlib.util.find_spec(package)}


def compare_speed(data: Path | None, folder: Path, scale: float) -> None:
    known = removers()
    files = {
        name: list(_shards(data, folder / f"input-{place}", MEGABYTES[name] * scale))
        for place, name in enumerate(known)
    }
    megabytes = {name: sum(path.stat().st_size for path in own) / 1e6 for name, own in files.items()}
    costs: dict[str, list[float]] = {name: [] for name in known}
    for repeat in range(-1, REPEATS):  # the first turn warms caches and loads libraries
        for name, remove in known.items():
            out = folder / "out"
            out.mkdir()
            own = files[name] if repeat >= 0 else files[name][:1]
            started = _cpu_seconds()
            remove(own, out)
            if repeat >= 0:
                costs[name].append((_cpu_seconds() - started) / megabytes[name])
            shutil.rmtree(out)
    print(f"JSON lines to Parquet without near-duplicates, median of {REPEATS} turns")
    for name, figures in costs.items():
        print(f"  {name:22}{1 / median(figures):10.2f} MB per CPU second ({megabytes[name]:.1f} MB)")
    for name in list(known)[1:]:
        found = ratio(costs["orfevre"], costs[name])
        for line in found.lines(name):
            print(f"  {line}", flush=True)
        if name in GOALS:
            print(f"    goal {GOALS[name]:.0f}: {'met' if found.median >= GOALS[name] else 'MISSED'}")
    ours = 1 / median(costs["orfevre"])
    print(f"  goal of 110 MB per CPU second: {'met' if ours >= 110 else 'MISSED'}")


def compare_kernel(texts: Sequence[bytes]) -> None:
    """Signatures alone: what a band more costs."""
    joined = np.frombuffer(b"".join(texts), np.uint8)
    offsets = np.cumsum([0, *map(len, texts)])
    print(f"signatures alone, {len(joined) / 1e6:.1f} MB, best of {REPEATS}")
    for bands, rows in SETTINGS:
        seconds = []
        for _ in range(REPEATS):
            started = time.process_time()
            minhash.signatures_at(joined, offsets, bands * rows)
            seconds.append(time.process_time() - started)
        print(f"  {bands:3} x {rows}{len(joined) / 1e6 / min(seconds):10.0f} MB per CPU second")
    some = texts[: max(1, len(texts) // 40)]
    started = time.process_time()
    minhash_numpy.signatures(some, *minhash.permutations(RULES.num_bands * RULES.rows_per_band))
    speed = sum(map(len, some)) / 1e6 / (time.process_time() - started)
    print(f"  {RULES.num_bands:3} x {RULES.rows_per_band}{speed:10.1f} MB per CPU second by the NumPy twin")


def compare_finds(folder: Path) -> None:
    texts = {row["id"]: row["text"] for row in _rows(folder / "near_duplicates.jsonl.zst")}
    truth = list(_rows(folder / "near_duplicates_pairs.jsonl.zst"))
    true = {frozenset((row["a"], row["b"])) for row in truth if row["jaccard_w5"] >= RULES.jaccard}
    grouped = {frozenset((row["a"], row["b"])) for row in truth if row["jaccard_w5"] >= RULES.group_jaccard}
    print(f"{len(texts)} texts, {len(true)} pairs at least {RULES.jaccard} alike, {len(grouped)} {RULES.group_jaccard}")
    names, encoded = list(texts), [text.encode() for text in texts.values()]
    members, starts = minhash.sets(encoded)
    for bands, rows in SETTINGS:
        pairs = np.array(sorted(_sharing(encoded, bands, rows)), np.int64).reshape(-1, 2)
        alike = minhash.jaccard(members, starts[pairs], starts[pairs + 1])
        scores = []
        for wanted, limit in ((true, RULES.jaccard), (grouped, RULES.group_jaccard)):
            found = {frozenset((names[a], names[b])) for a, b in pairs[alike >= limit].tolist()}
            scores += [len(found & wanted) / len(wanted), len(found & wanted) / max(1, len(found))]
        mark = "  the default" if (bands, rows) == (RULES.num_bands, RULES.rows_per_band) else ""
        print(
            f"  orfevre {bands:3} x {rows}: recall {scores[0]:.4f}, precision {scores[1]:.4f}; of groups "
            f"{scores[2]:.4f}, {scores[3]:.4f}; {len(pairs)} candidates{mark}"
        )
    if importlib.util.find_spec("datasketch"):
        found = _found_by_datasketch(texts)
        print(f"  datasketch 32 x 4: recall {len(found & true) / len(true):.4f}, "
              f"precision {len(found & true) / len(found):.4f}")  # fmt: skip


def _sharing(texts: Sequence[bytes], bands: int, rows: int) -> set[tuple[int, int]]:
    """Pairs that share a band."""
    values, num_shingles = minhash.signatures(texts, bands * rows)
    pairs = set()
    for keys in minhash.band_keys(values, bands):
        buckets = defaultdict(list)
        for place in np.flatnonzero(num_shingles).tolist():
            buckets[int(keys[place])].append(place)
        pairs |= {pair for bucket in buckets.values() for pair in combinations(bucket, 2)}
    return pairs


def _found_by_datasketch(texts: dict[str, str]) -> set[frozenset[str]]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=128, params=(32, 4))
    signed = {}
    for name, text in texts.items():
        signed[name] = MinHash(num_perm=128)
        signed[name].update_batch([shingle.encode() for shingle in dedup_peers._shingles(text)])
        index.insert(name, signed[name], check_duplication=False)
    return {
        frozenset((name, other))
        for name, own in signed.items()
        for other in index.query(own)
        if other != name and own.jaccard(signed[other]) >= RULES.jaccard
    }


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _shards(data: Path | None, folder: Path, megabytes: float) -> Iterator[Path]:
    """JSONL files of SHARD_BYTES, about so many megabytes in all."""
    folder.mkdir()
    rows, held, number, left = [], 0, 0, int(megabytes * 1e6)
    for place, text in enumerate(_texts(data, left)):
        rows.append(json.dumps({"id": f"{place:08d}", "text": text.decode(errors="replace")}) + "\n")
        held += len(rows[-1])
        if held >= SHARD_BYTES:
            path = folder / f"{number:04d}.jsonl"
            path.write_text("".join(rows), encoding="utf-8")
            yield path
            rows, held, number = [], 0, number + 1
    if rows:
        path = folder / f"{number:04d}.jsonl"
        path.write_text("".join(rows), encoding="utf-8")
        yield path


def _texts(data: Path | None, num_bytes: int) -> Iterator[bytes]:
    for text in _all_texts(data):
        yield text
        num_bytes -= len(text)
        if num_bytes <= 0:
            return


def _all_texts(data: Path | None) -> Iterator[bytes]:
    for place in _places(data):
        for name in ("wiki_en", "news_en"):
            path = place / "text" / f"{name}.jsonl.zst"
            if path.is_file():
                yield from (row["text"].encode() for row in _rows(path))
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("**/*.py")):
        if {"site-packages", "dist-packages"}.isdisjoint(path.parts):
            yield path.read_text(encoding="utf-8", errors="replace").encode()


def _places(data: Path | None) -> tuple[Path, ...]:
    return () if data is None else (data, data / "messy")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))
