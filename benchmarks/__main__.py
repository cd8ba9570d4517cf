"""`python -m benchmarks [NAME] [--data FOLDER]`: all that take minutes, or the one that is named."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import curation

Benchmark = Callable[[Path | None], int]
"""From the folder of data, if any, to the exit code. Only the benchmark that runs is imported: they need extras."""


def train_step(data: Path | None) -> int:
    from benchmarks import train_step

    return train_step.run(data)


def train_curves(data: Path | None) -> int:
    from benchmarks import train_curves

    return train_curves.run(data)


def decode(data: Path | None) -> int:
    from benchmarks import decode

    return decode.run(data)


def quantisation(data: Path | None) -> int:
    from benchmarks import quantisation

    return quantisation.run(data)


def mixture(data: Path | None) -> int:
    from benchmarks import mixture

    return _on_table("mixture", mixture.main, data)


def ladder(data: Path | None) -> int:
    from benchmarks import ladder

    return _on_table("ladder", ladder.main, data)


def proxies(data: Path | None) -> int:
    from benchmarks import proxies

    return proxies.run(data)


BENCHMARKS: dict[str, tuple[Benchmark, str]] = {
    "train_step": (train_step, "training steps beside transformers' MixtralForCausalLM (extra: dev)"),
    "train_curves": (train_curves, "200 steps beside transformers from equal weights; by name only (extra: dev)"),
    "decode": (decode, "writing and reading tokens beside transformers and llama.cpp; by name only (extra: llama)"),
    "quantisation": (
        quantisation,
        "bits per byte in int8 and int4; by name only, --data WORK (a finished run's folder)",
    ),
    "curation": (curation.run, "all of curation_*; by name only, some 15 minutes (extra: benchmark)"),
    **{f"curation_{name}": (curation.part(name), f"{what}; by name only") for name, what in curation.PARTS.items()},
    "mixture": (mixture, "the surrogate beside a line and LightGBM; by name only, many minutes (extra: benchmark)"),
    "ladder": (ladder, "what a few larger runs add to many small ones, on an emulator; by name only, many minutes"),
    "proxies": (proxies, "proxies trained as stacks beside a pool of single ones; by name only, many minutes"),
}
BY_NAME_ONLY = {
    "curation", "decode", "ladder", "mixture", "proxies", "quantisation", "train_curves",
    *(f"curation_{name}" for name in curation.PARTS)
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    listed = "\n".join(f"  {name:24}{what}" for name, (_, what) in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Orfevre beside its peers, in one run:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=list(BENCHMARKS), help="one of them; by default those of minutes")
    parser.add_argument("--data", type=Path, help="folder of development data, or the file a benchmark asks for")
    asked = parser.parse_args(arguments)
    if asked.data is not None and not asked.data.exists():
        parser.error(f"--data {asked.data}: no such folder")
    # as the command line does: threads that spin while they wait make a step many times slower on a busy machine
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    print(f"{os.cpu_count()} cores; load average of the last minute: {os.getloadavg()[0]:.1f}", flush=True)
    codes = []
    for name, (benchmark, what) in BENCHMARKS.items():
        if asked.name == name or (asked.name is None and name not in BY_NAME_ONLY):
            print(f"\n# {name}: {what}", flush=True)
            codes.append(benchmark(asked.data))
        elif asked.name is None:
            print(f"\n# {name}: {what}\nskipped: python -m benchmarks {name} --data ...")
    return max(codes)


def _on_table(name: str, main: Callable[[Sequence[str]], None], data: Path | None) -> int:
    table = data if data is not None and data.is_file() else _table(data)
    if table is None:
        print(f"{name}: skipped, it needs --data TABLE.csv, or a FOLDER with one that has weight. and loss. columns")
        return 0
    main([str(table)])
    return 0


def _table(data: Path | None) -> Path | None:
    folders = () if data is None else (data, data / "mix")
    return next((path for folder in folders for path in sorted(folder.glob("proxy_runs_*.csv"))), None)


if __name__ == "__main__":
    sys.exit(main())
