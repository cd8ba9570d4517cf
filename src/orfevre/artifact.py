"""A folder with manifest.json: written aside, verified, renamed. A folder without a manifest is unfinished.

work/<run>/<stage>/            finished
work/<run>/.<stage>.partial/   being written; a stage may resume from what it left here
work/<run>/.<stage>.old/       the one before, gone as soon as the new one stands
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from orfevre import __version__
from orfevre.errors import WorkFolderError
from orfevre.ledger import FORMAT, Manifest, Output

MANIFEST = "manifest.json"
DRAFT = ".draft.json"


def read(folder: Path) -> Manifest | None:
    """The manifest of a finished artefact, or None. Raises WorkFolderError if another version made it."""
    path = folder / MANIFEST
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        raise WorkFolderError(f"{path}: damaged, not valid JSON; delete {folder} and run again") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        made_by, found = (table.get("orfevre"), table.get("format")) if isinstance(table, dict) else (None, None)
        raise WorkFolderError(
            f"{path}: made by orfevre {made_by or 'unknown'} in format {found}; this is orfevre {__version__}, which "
            f"reads format {FORMAT}. Use that version, choose another folder with --set work=..., or delete {folder}"
        )
    try:
        return Manifest.model_validate(table)
    except ValidationError as error:
        raise WorkFolderError(f"{path}: damaged ({error.error_count()} fields); delete {folder}, run again") from None


def require(folder: Path) -> Manifest:
    """Like `read`, but an unfinished artefact is an error that names the verb that makes it."""
    manifest = read(folder)
    if manifest is None:
        raise WorkFolderError(f"{folder}: no finished artefact here; `orfevre run RECIPE` makes what is missing")
    return manifest


def partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def begun(folder: Path) -> str | None:
    """Fingerprint of an attempt that was interrupted, if there is one."""
    state = _draft_state(partial(folder))
    return None if state is None else str(state["fingerprint"])


def begin(folder: Path, fingerprint: str) -> tuple[Path, int, float]:
    """The folder to write into, the number of this attempt and the seconds earlier attempts took.

    What an interrupted attempt left is kept if it was made for the same fingerprint, and deleted otherwise.
    """
    draft = partial(folder)
    earlier = _draft_state(draft)
    if earlier is None or earlier["fingerprint"] != fingerprint:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        earlier = {"fingerprint": fingerprint, "attempts": 0, "seconds": 0.0}
    attempts, seconds = int(earlier["attempts"]) + 1, float(earlier["seconds"])
    state = {"fingerprint": fingerprint, "attempts": attempts, "seconds": seconds, "started": time.time()}
    write_text(draft / DRAFT, json.dumps(state))
    return draft, attempts, seconds


def finish(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into the partial folder and put it in its place. Either the old or the new one stands."""
    draft = partial(folder)
    (draft / DRAFT).unlink(missing_ok=True)
    write_text(draft / MANIFEST, manifest.model_dump_json(indent=1))
    settle(folder)


def settle(folder: Path) -> None:
    """Finish the renames that a kill interrupted, if any: a partial folder that has its manifest is whole."""
    draft, old = partial(folder), folder.with_name(f".{folder.name}.old")
    if (draft / MANIFEST).exists():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        draft.rename(folder)
    elif old.exists() and not folder.exists():
        old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def outputs(folder: Path) -> dict[str, Output]:
    """Size and SHA-256 of every file in the folder, hidden files and the manifest left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and not any(part.startswith(".") for part in name.split("/")):
            with path.open("rb") as file:
                found[name] = Output(bytes=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    return found


def verify(folder: Path) -> list[str]:
    """What differs between the folder and its manifest: one line for each missing, changed or extra file."""
    promised, found = require(folder).outputs, outputs(folder)
    lines = [f"{name}: missing" for name in promised.keys() - found.keys()]
    lines += [f"{name}: not in the manifest" for name in found.keys() - promised.keys()]
    lines += [f"{name}: changed" for name in promised.keys() & found.keys() if promised[name] != found[name]]
    return sorted(lines)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """One run at a time in a work folder; the lock falls with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WorkFolderError(f"{folder}: another orfevre is at work here; wait for it or stop it") from None
        yield


def _draft_state(draft: Path) -> dict[str, float | str] | None:
    """The draft's state, its seconds extended by what the interrupted attempt took (up to its last write)."""
    try:
        state: dict[str, float | str] = json.loads((draft / DRAFT).read_text(encoding="utf-8"))
        last_write = max(path.stat().st_mtime for path in [draft, *draft.rglob("*")])
        state["seconds"] = float(state["seconds"]) + max(0.0, last_write - float(state["started"]))
        return state
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text beside its place and rename it there: a kill leaves the old file or the new one, never half."""
    aside = path.with_name(f".{path.name}.aside")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
