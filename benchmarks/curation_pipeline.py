"""The whole curate stage in CPU seconds: step by step, beside datatrove's deduplication, and over the three runners.

JSON lines become Parquet in one process. `all default rules` is the stage as a recipe without a [curate] section runs
it; `deduplication alone` leaves out every step but normalising, so it does what datatrove's four steps do: read, sign,
match, write. datatrove gets as much text as takes it some seconds, in turns with ours. Then the stage over the inline
runner, a pool and a local Ray: wall time, and whether all bytes are equal.

Text is the beginning of every file in --data's text folder, or the modules of the standard library.
"""

import importlib.util
import io
import json
import os
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import zstandard

from benchmarks.paired import ratio
from orfevre import artifact, recipe
from orfevre.curate import parts, signs, stage, steps
from orfevre.kernels import native

BYTES_PER_FILE = 2_000_000
REPEATS = 3
GOALS = {"all default rules": 50.0, "deduplication alone": 110.0}
DATATROVE_BYTES = {"datatrove": 400_000, "datatrove, str.split": 2_000_000}
ALONE = ("normalise",)


def run(data: Path | None = None, *, small: bool = False) -> int:
    """2 where the C kernels are not built; 1 where the runners do not agree."""
    if native.library() is None:
        print("curation_pipeline times the C kernels, which are not built: install a C compiler", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = place / "in" / "text.jsonl"
        source.parent.mkdir()
        with source.open("wb") as file:
            file.writelines(lines(data, 20_000 if small else BYTES_PER_FILE))
        by_step(source, place, 1 if small else REPEATS)
        beside_datatrove(source, place, 0.05 if small else 1.0)
        return runners(source, place, ("inline", "pool") if small else ("inline", "pool", "ray"))


def lines(data: Path | None, num_bytes: int) -> Iterator[bytes]:
    """JSON lines of about `num_bytes` of each file of `data`/text, or of ten times that of the standard library."""
    folder = data / "text" if data is not None else Path("-")
    files = sorted(folder.glob("*.jsonl.zst"))
    number = 0
    for found in [_of_file(path) for path in files] or [_of_standard_library()]:
        taken = 0
        for text in found:
            line = json.dumps({"id": str(number), "text": text}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            yield line
            number, taken = number + 1, taken + len(line)
            if taken >= num_bytes * (1 if files else 10):
                break


def _of_file(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file)):
            yield json.loads(line)["text"]


def _of_standard_library() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("**/*.py")):
        if {"site-packages", "dist-packages", "test"}.isdisjoint(path.parts):
            yield path.read_text(encoding="utf-8", errors="replace")


def by_step(source: Path, folder: Path, repeats: int) -> None:
    megabytes = source.stat().st_size / 1e6
    orders = {"all default rules": tuple(steps.ORDER), "deduplication alone": ALONE}
    for order in orders.values():
        curate(source, folder, order)  # memory is touched, libraries are loaded
    taken: dict[str, list[Counter[str]]] = {name: [] for name in orders}
    for _ in range(repeats):
        for name, order in orders.items():
            taken[name].append(curate(source, folder, order))
    for name, figures in taken.items():
        speeds = sorted(megabytes / each["all"] for each in figures)
        middle = sorted(figures, key=lambda each: each["all"])[len(figures) // 2]
        print(f"{name}: {speeds[len(speeds) // 2]:.1f} MB of JSON lines per CPU second ", end="")
        print(f"({speeds[0]:.1f} to {speeds[-1]:.1f}, {len(speeds)} runs of {megabytes:.1f} MB)")
        for part, seconds in middle.items():
            print(f"  {part:14}{1e3 * seconds / megabytes:8.2f} ms a MB")
        goal = GOALS[name]
        print(f"  goal of {goal:.0f}: {'met' if speeds[len(speeds) // 2] >= goal else 'missed'}", flush=True)


def curate(source: Path, folder: Path, order: Sequence[str], kind: str = "inline") -> Counter[str]:
    """CPU seconds by part of one run of the stage; `reading` is what is left: reading, parsing, digests, rows."""
    seconds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=folder) as out, ExitStack() as patches:
        patches.enter_context(mock.patch.object(steps, "ORDER", {name: steps.ORDER[name] for name in order}))
        patches.enter_context(mock.patch.object(steps, "steps_of", partial(_timed_steps, seconds)))
        for module, name, part in (
            (stage, "sift", "reading"), (stage, "settle", "matching"), (stage, "write_source", "writing"),
            (signs, "write", "signatures"), (parts, "write", "scratch files"),
        ):  # fmt: skip
            patches.enter_context(mock.patch.object(module, name, _timed(seconds, part, getattr(module, name))))
        _timed(seconds, "all", stage.run)(_asked(source, kind), {}, Path(out))
    inside = [part for part in seconds if part not in ("reading", "matching", "writing", "all")]
    seconds["reading"] -= sum(seconds[part] for part in inside)
    return seconds


def _timed(seconds: Counter[str], part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        started = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            seconds[part] += time.process_time() - started  # type: ignore[assignment]

    return call


def _timed_steps(seconds: Counter[str], unit: Any) -> list[Any]:
    made = [(name, make(unit)) for name, make in steps.ORDER.items()]
    return [_timed(seconds, name, step) for name, step in made if step is not None]


def _asked(source: Path, kind: str) -> recipe.Recipe:
    table = {
        "name": "pipeline",
        "sources": [
            {
                "name": "text", "paths": [str(source.parent / "*.jsonl")], "format": "jsonl", "licence": "various",
                "language": "und",
            }
        ],
        "mix": {"target": {"text": 1.0}},
        "runner": {"kind": kind, "workers": 2},
    }  # fmt: skip
    return recipe.from_table(table, "pipeline.toml")


def beside_datatrove(source: Path, folder: Path, scale: float) -> None:
    if importlib.util.find_spec("datatrove") is None:
        print("datatrove is not installed (pip install -e '.[benchmark]'): skipped")
        return
    from benchmarks import dedup_peers

    for name, num_bytes in DATATROVE_BYTES.items():
        piece = folder / name.replace(" ", "-") / "text.jsonl"
        piece.parent.mkdir()
        with source.open("rb") as whole, piece.open("wb") as part:
            spread = source.stat().st_size / (num_bytes * scale)  # every so many lines: all sources are in it
            part.writelines(line for number, line in enumerate(whole) if number % max(1, round(spread)) == 0)
        megabytes, remove = piece.stat().st_size / 1e6, partial(dedup_peers.datatrove, split_words="split" in name)
        remove([piece], folder / f"{name} first")
        ours, theirs = [], []
        for turn in range(REPEATS):
            ours.append(curate(source, folder, ALONE)["all"] / (source.stat().st_size / 1e6))
            started = time.process_time()
            remove([piece], folder / f"{name} {turn}")
            theirs.append((time.process_time() - started) / megabytes)
        print(f"{name}: {1 / min(theirs):.2f} MB per CPU second at best, on {megabytes:.1f} MB")
        for line in ratio(ours, theirs).lines(name):
            print(f"  {line}", flush=True)


def runners(source: Path, folder: Path, kinds: Sequence[str]) -> int:
    """The stage on four copies of the text's quarters, so that there is work for two."""
    quarters = folder / "quarters"
    quarters.mkdir()
    held = source.read_bytes().splitlines(keepends=True)
    for number in range(4):
        (quarters / f"{number}.jsonl").write_bytes(b"".join(held[number::4]))
    digests = {}
    for kind in kinds:
        if kind == "ray" and importlib.util.find_spec("ray") is None:
            print("Ray is not installed (pip install -e '.[ray]'): skipped")
            continue
        with tempfile.TemporaryDirectory(dir=folder) as out:
            started = time.perf_counter()
            stage.run(_asked(quarters / "0.jsonl", kind), {}, Path(out))
            took = time.perf_counter() - started
            digests[kind] = str(sorted(artifact.outputs(Path(out)).items()))
        speed = source.stat().st_size / 1e6 / took
        print(f"{kind:8}{speed:8.1f} MB per second of wall time, with its start ({os.cpu_count()} cores)", flush=True)
    agree = len(set(digests.values())) == 1
    print(f"the same bytes from {', '.join(digests)}: {'yes' if agree else 'NO'}")
    return 0 if agree else 1
