"""SHA256SUMS: what `sha256sum -c SHA256SUMS` checks."""

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def write(folder: Path) -> None:
    """One line for each file of `folder` but this one, in order of path."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != NAME:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / NAME).write_text("".join(lines), encoding="utf-8")
