"""How much memory curation takes on an input far larger than it: the peaks of all processes, added up.

    python -m benchmarks.curation_memory [--gigabytes 10] [--folder /tmp/curation]

Text is generated from a seed (curation_input.py), near-duplicates included, and curated with two workers. Memory is the
sum of the peak resident sizes (VmHWM) of every process that was alive at the same time, at its highest: more than was
ever resident at once. The text is declared as no human language, for none could be told. Needs Linux, and about three
times the input on disk; all of it is deleted at the end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import curation_input

LIMIT_GIB = 4.0
WORKERS = 2


def run(data: Path | None = None, *, small: bool = False, gigabytes: float = 0.25, folder: Path | None = None) -> int:
    """1 where the input is large enough to tell and the limit is passed. `data` is not used."""
    if not Path("/proc/self/status").exists():
        print("curation_memory reads /proc, which this system lacks: skipped")
        return 0
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return _measure(Path(scratch), 0.01 if small else gigabytes)


def _measure(folder: Path, gigabytes: float) -> int:
    started = time.perf_counter()
    files = curation_input.write(folder / "in", int(gigabytes * 1e9))
    num_bytes = sum(path.stat().st_size for path in files)
    print(f"generated {num_bytes / 1e9:.2f} GB of JSON lines in {time.perf_counter() - started:.0f} s", flush=True)
    child, peaks = watch([sys.executable, "-m", "benchmarks.curation_memory", "--curate", str(folder)])
    if child != 0:
        print(f"curation ended with exit code {child}")
        return 1
    return _report(folder, num_bytes, peaks)


def _report(folder: Path, num_bytes: int, peaks: list[int]) -> int:
    stats = json.loads((folder / "out" / "stats.json").read_text(encoding="utf-8"))["sources"]["generated"]
    took = json.loads((folder / "took.json").read_text(encoding="utf-8"))
    gone = sum(stats["dropped"].values()) + sum(stats["broken"].values())
    print(f"read {stats['read']} = kept {stats['kept']} + {stats['dropped']} + broken {stats['broken']}")
    print(f"{num_bytes / took['cpu_seconds'] / 1e6:.1f} MB per CPU second, {took['wall_seconds']:.0f} s of wall time")
    high = max(peaks) / 2**20
    print(f"memory: {high:.2f} GiB at most, in {WORKERS} workers and their parent; limit {LIMIT_GIB} GiB")
    if stats["read"] != stats["kept"] + gone:
        print("documents were lost: read is not kept + dropped + broken")
        return 1
    if high > LIMIT_GIB:
        print("orfevre loses: it takes more memory than it should")
        return 1
    return 0


def watch(command: list[str]) -> tuple[int, list[int]]:
    """The command's exit code, and every quarter of a second the sum of its processes' VmHWM, in KiB."""
    peaks = [0]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peaks.append(sum(map(_peak, _tree(process.pid))))
            time.sleep(0.25)
        return process.returncode, peaks


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += map(int, listed.read_text().split())
            except OSError:  # gone since it was listed
                continue
    return found


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def curate(folder: Path) -> None:
    from orfevre import recipe
    from orfevre.curate import stage

    table = {
        "name": "generated",
        "sources": [
            {
                "name": "generated", "paths": [f"{folder}/in/**/*.jsonl"], "format": "jsonl", "licence": "CC0-1.0",
                "language": "generated",
            }
        ],
        "mix": {"target": {"generated": 1.0}},
        "runner": {"workers": WORKERS},
    }  # fmt: skip
    out = folder / "out"
    out.mkdir()
    started = time.perf_counter()
    stage.run(recipe.from_table(table, "generated.toml"), {}, out)
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    took = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": cpu}
    (folder / "took.json").write_text(json.dumps(took))
    shutil.rmtree(out / "documents")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="where the input and the work folder go")
    parser.add_argument("--curate", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.curate:
        curate(asked.curate)
        return 0
    return run(gigabytes=asked.gigabytes, folder=asked.folder)


if __name__ == "__main__":
    raise SystemExit(main())
