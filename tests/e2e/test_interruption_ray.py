"""Kill -9 of a run over Ray: finished units stay, nothing half-written is taken for whole, the bytes are the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import curation_input

from orfevre import artifact, recipe
from orfevre.curate import stage

SCRIPT = """
import json, sys
from pathlib import Path
from orfevre import recipe
from orfevre.curate import stage
stage.run(recipe.from_table(json.loads(sys.argv[1]), "killed.toml"), {}, Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_killed_run_over_ray_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(12):
        curation_input.write(tmp_path / "in" / f"{number:02d}", 2_000_000, seed=number)
    table = {
        "name": "killed",
        "sources": [
            {
                "name": "text",
                "paths": [f"{tmp_path}/in/*/*.jsonl"],
                "format": "jsonl",
                "licence": "CC0-1.0",
                "language": "generated",
            }
        ],
        "mix": {"target": {"text": 1.0}},
        "curate": {"shard_bytes": 2**20},
    }
    inline, ray = (table | {"runner": runner} for runner in ({"kind": "inline"}, {"kind": "ray", "workers": 2}))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    stage.run(recipe.from_table(inline, "killed.toml"), {}, whole)
    command = [sys.executable, "-c", SCRIPT, json.dumps(ray), str(killed)]
    run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(units(killed)) < 3:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    stood = {path: path.stat().st_mtime_ns for path in units(killed)}
    assert 3 <= len(stood) < 12
    seen: list[Path] = []
    sift = stage.sift
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "sift", lambda unit: (seen.append(unit.folder), sift(unit))[1])
        stage.run(recipe.from_table(inline, "killed.toml"), {}, killed)
    assert len(seen) <= 12 - len(stood) and not set(seen) & set(stood)
    assert artifact.outputs(killed) == artifact.outputs(whole)


def units(folder: Path) -> list[Path]:
    return [path for path in folder.glob(".scratch/*/unit-*") if not path.name.endswith(".aside")]
