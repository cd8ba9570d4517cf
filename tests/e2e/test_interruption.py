"""Kill -9 at any moment and run again: nothing finished is redone, nothing half-written is taken for whole."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.e2e.small import Journey, orfevre, write_recipe

from orfevre import artifact, metrics, pipeline
from orfevre.ledger import Output

STAGES = [stage.name for stage in pipeline.STAGES]


STEADY = (".parquet", ".bin", ".npy", ".safetensors", "tokenizer.json")
"""Files that hold no times."""


def start(recipe: Path) -> subprocess.Popen[bytes]:
    """A run in a process group of its own, so that the kill takes its workers too, as a machine that dies would."""
    command = [sys.executable, "-m", "orfevre.cli", "run", str(recipe)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def finished(folder: Path) -> dict[str, int]:
    """Finished stages, and when their manifest was written."""
    manifests = {stage: folder / stage / "manifest.json" for stage in STAGES}
    return {stage: path.stat().st_mtime_ns for stage, path in manifests.items() if path.exists()}


def test_killed_again_and_again_it_arrives_at_the_same_artefacts(journey: Journey, tmp_path: Path) -> None:
    recipe, folder = write_recipe(tmp_path), tmp_path / "work" / "journey"
    moments = random.Random(4)
    stood: dict[str, int] = {}
    for _ in range(8):
        run = start(recipe)
        time.sleep(moments.uniform(1.0, 8.0))
        ended = run.poll()
        os.killpg(run.pid, signal.SIGKILL) if ended is None else None
        run.wait()
        assert ended in (None, 0)
        now = finished(folder)
        assert {stage: now[stage] for stage in stood} == stood, "a finished stage was redone"
        stood = now
        if ended == 0:
            break
    last = orfevre("run", recipe)
    assert last.returncode == 0, last.stderr
    for stage in ("curate", "tokenize", "train"):
        ours, theirs = (steady(place / stage) for place in (folder, journey.folder))
        # which older checkpoint is kept beside the last one is a matter of time
        shared = [name for name in ours if name in theirs or "checkpoints/" not in name]
        assert shared and [name for name in shared if ours[name] != theirs.get(name)] == []
    for log in ("proxies.jsonl", "checks.jsonl"):
        assert runs(folder / "mix" / log) == runs(journey.folder / "mix" / log)


def steady(folder: Path) -> dict[str, Output]:
    """Files of an artefact that hold no times."""
    assert artifact.verify(folder) == []
    return {name: output for name, output in artifact.require(folder).outputs.items() if name.endswith(STEADY)}


def runs(log: Path) -> dict[str, object]:
    """What each small run was and measured; they finish in any order."""
    return {row["run"]: (row["weights"], row["seed"], row["losses"]) for row in metrics.read(log)}


def test_disk_full_is_told_and_loses_nothing(tmp_path: Path) -> None:
    recipe, work = write_recipe(tmp_path), tmp_path / "work"
    work.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs the right to mount a small tmpfs")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(work)], check=False).returncode:
        pytest.skip("this machine allows no tmpfs mounts")
    try:
        full = orfevre("run", recipe)
        assert full.returncode == 2, full.stderr
        assert "no space left" in full.stderr.lower() and "Traceback" not in full.stderr
        stood = finished(work / "journey")
        again = orfevre("run", recipe)
        assert again.returncode == 2
        assert finished(work / "journey") == stood
    finally:
        subprocess.run(["umount", str(work)], check=True)
