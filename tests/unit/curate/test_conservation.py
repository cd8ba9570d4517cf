"""No document is lost, whatever the input; memory follows the size of a shard, not that of the input."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard
from benchmarks import curation_input
from tests.places import ROOT

from orfevre import recipe
from orfevre.curate import stage

LOOSE = {"min_chars": 1, "max_duplicate_line_fraction": 1.0, "min_letter_fraction": 0.0}
"""So that every source of odd files keeps something, which the stage demands."""

JSONL = {
    "text": (["text/*.jsonl.zst"], "text"),
    "pages": (["web/*.jsonl.zst"], "html"),
    "near": (["messy/near_duplicates.jsonl.zst"], "text"),
    "broken": (["messy/broken_lines.jsonl.gz"], "text"),
    "sentences": (["langid/*.jsonl.zst"], "text"),
    "questions": (["eval/*.jsonl"], "question"),
    "tasks": (["eval/llm-foundry/*.jsonl"], "context"),
}
"""Files of lines, and the field that holds a text (some of them lack it, which is counted)."""

OTHERS = {
    "archives": (["warc/*/*.warc", "warc/*/*.warc.gz", "warc/*/*.arc", "warc/*/*.arc.gz"], "warc"),
    "wholes": (["messy/*.json", "eval/fr/*", "mix/*.csv", "README.md"], "text"),
}


@pytest.mark.slow
def test_all_of_the_development_data_is_conserved(data: Path, tmp_path: Path) -> None:
    base = {"licence": "various", "language": "und"}
    sources = [
        {"name": name, "paths": [f"{{data}}/{path}" for path in paths], "format": "jsonl", "text_field": field, **base}
        for name, (paths, field) in JSONL.items()
    ]
    sources += [
        {"name": name, "paths": [f"{{data}}/{path}" for path in paths], "format": kind, **base}
        for name, (paths, kind) in OTHERS.items()
    ]
    table = {"name": "all", "data": str(data), "sources": sources, "mix": {"target": {"text": 1.0}}}
    made = recipe.from_table(table | {"curate": {"quality": LOOSE}, "runner": {"workers": 2}}, "all.toml")
    stage.run(made, {}, tmp_path)
    stats = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))["sources"]
    seen: set[str] = set()
    for name, own in stats.items():
        assert own["read"] == own["kept"] + sum(own["dropped"].values()) + sum(own["broken"].values())
        ids = [*ids_of(tmp_path / "documents" / f"{name}.parquet"), *ids_of(tmp_path / "dropped" / f"{name}.parquet")]
        assert len(ids) == own["read"] == len(set(ids)), name
        assert not seen & set(ids)
        seen |= set(ids)
    for name, (paths, _) in JSONL.items():
        files = [file for path in paths for file in data.glob(path)]
        assert stats[name]["read"] == sum(map(num_lines, files)), name
    assert stats["wholes"]["read"] == stats["wholes"]["files"]


def ids_of(path: Path) -> list[str]:
    return pq.read_table(path, columns=["id"]).column("id").to_pylist()  # type: ignore[no-any-return]


def num_lines(path: Path) -> int:
    """Counted apart from the reader."""
    if path.suffix == ".gz":
        with gzip.open(path) as lines:
            return sum(1 for _ in lines)
    with path.open("rb") as file:
        if path.suffix == ".zst":
            return sum(1 for _ in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file)))
        return sum(1 for _ in file)


CHILD = """
import sys
from pathlib import Path
from orfevre import recipe
from orfevre.curate import stage, write
write.Task.__init__.__defaults__ = (2**20,)
table = {"name": "m", "sources": [{"name": "s", "paths": [sys.argv[1] + "/*.jsonl"], "format": "jsonl",
         "licence": "CC0-1.0", "language": "und"}], "mix": {"target": {"s": 1.0}}, "runner": {"kind": "inline"},
         "curate": {"shard_bytes": 2**20}}
out = Path(sys.argv[1], "out")
out.mkdir()
stage.run(recipe.from_table(table, "m.toml"), {}, out)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc to see a child's peak")
def test_memory_follows_the_shard_and_not_the_input(tmp_path: Path) -> None:
    peaks = []
    for megabytes in (4, 24):
        folder = tmp_path / str(megabytes)
        curation_input.write(folder, megabytes * 10**6)
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, env=environment, check=True
        )
        peaks.append(int(child.stdout) / 1024)
    assert peaks[1] - peaks[0] < 24, f"{peaks} MiB"  # less than the further input, several copies of which are made
