"""Written aside, verified, renamed: a kill at any moment leaves the old artefact or the new one, never half of one."""

import json
import os
import shutil
from pathlib import Path

import pytest

from orfevre import artifact, ledger
from orfevre.errors import WorkFolderError


def manifest(draft: Path, **changes: object) -> ledger.Manifest:
    fields: dict[str, object] = {
        "format": ledger.FORMAT, "stage": "curate", "run": "tiny", "created": "2026-01-01T00:00:00+00:00",
        "orfevre": "0", "code": "0",
        "fingerprint": "f", "depends": {}, "inputs": {}, "outputs": artifact.outputs(draft), "seed": 1,
        "counts": {}, "notes": {}, "attempts": 1, "wall_seconds": 1.0, "flops": 0.0, "energy_kwh": 0.0,
        "energy_method": "none", "peak_memory_mib": 1.0, "machine": {},
    }  # fmt: skip
    return ledger.Manifest.model_validate(fields | changes)


def make(folder: Path, text: str, fingerprint: str = "f") -> ledger.Manifest:
    draft, _, _ = artifact.begin(folder, fingerprint)
    (draft / "data.txt").write_text(text, encoding="utf-8")
    made = manifest(draft, fingerprint=fingerprint)
    artifact.finish(folder, made)
    return made


def test_round_trip(tmp_path: Path) -> None:
    made = make(tmp_path / "curate", "one")
    assert artifact.read(tmp_path / "curate") == made
    assert artifact.verify(tmp_path / "curate") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curate"]


def test_folder_without_manifest_is_unfinished(tmp_path: Path) -> None:
    (tmp_path / "curate").mkdir()
    assert artifact.read(tmp_path / "curate") is None
    with pytest.raises(WorkFolderError, match="no finished artefact"):
        artifact.require(tmp_path / "curate")


def test_replaces_the_old_one(tmp_path: Path) -> None:
    make(tmp_path / "curate", "one")
    make(tmp_path / "curate", "two")
    assert (tmp_path / "curate" / "data.txt").read_text(encoding="utf-8") == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curate"]


def test_interrupted_attempt_is_kept_for_the_same_fingerprint_only(tmp_path: Path) -> None:
    folder = tmp_path / "curate"
    draft, attempt, _ = artifact.begin(folder, "f")
    (draft / "half.txt").write_text("half", encoding="utf-8")
    assert attempt == 1
    draft, attempt, seconds = artifact.begin(folder, "f")
    assert attempt == 2 and seconds >= 0 and (draft / "half.txt").exists()
    draft, attempt, _ = artifact.begin(folder, "g")
    assert attempt == 1 and not (draft / "half.txt").exists()


@pytest.mark.parametrize("killed_at", ["manifest written", "old moved away", "new in place"])
def test_kill_between_renames(tmp_path: Path, killed_at: str) -> None:
    folder = tmp_path / "curate"
    make(folder, "old")
    draft, _, _ = artifact.begin(folder, "new")
    (draft / "data.txt").write_text("new", encoding="utf-8")
    (draft / "manifest.json").write_text(manifest(draft).model_dump_json(), encoding="utf-8")
    old = tmp_path / ".curate.old"
    if killed_at != "manifest written":
        folder.rename(old)
    if killed_at == "new in place":
        draft.rename(folder)
    artifact.settle(folder)
    assert (folder / "data.txt").read_text(encoding="utf-8") == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curate"]


def test_old_comes_back_when_the_new_one_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "curate"
    make(folder, "old")
    folder.rename(tmp_path / ".curate.old")
    artifact.settle(folder)
    assert (folder / "data.txt").read_text(encoding="utf-8") == "old"


def test_verify_names_what_changed(tmp_path: Path) -> None:
    folder = tmp_path / "curate"
    make(folder, "one")
    (folder / "data.txt").write_text("two", encoding="utf-8")
    (folder / "extra.txt").write_text("", encoding="utf-8")
    assert artifact.verify(folder) == ["data.txt: changed", "extra.txt: not in the manifest"]
    (folder / "data.txt").unlink()
    assert "data.txt: missing" in artifact.verify(folder)


def test_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "curate"
    make(folder, "one")
    path = folder / "manifest.json"
    table = json.loads(path.read_text(encoding="utf-8")) | {"format": 99, "orfevre": "9.0"}
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(WorkFolderError, match=r"made by orfevre 9\.0 in format 99.*--set work="):
        artifact.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "curate"
    folder.mkdir()
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(WorkFolderError, match=r"manifest\.json"):
        artifact.read(folder)


def test_digest_is_of_content_only(tmp_path: Path) -> None:
    one, two = make(tmp_path / "a", "same"), make(tmp_path / "b", "same", fingerprint="other")
    assert one.digest() == two.digest() != make(tmp_path / "c", "different").digest()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with artifact.lock(tmp_path), pytest.raises(WorkFolderError, match="another orfevre"), artifact.lock(tmp_path):
        pass
    with artifact.lock(tmp_path):  # free again
        pass


def test_lock_falls_with_a_killed_process(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with artifact.lock(tmp_path):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with artifact.lock(tmp_path):
        pass


def test_finishing_survives_a_leftover_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "curate"
    make(folder, "one")
    shutil.copytree(folder, tmp_path / ".curate.old")
    make(folder, "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curate"]
