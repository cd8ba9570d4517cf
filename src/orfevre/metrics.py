"""Append-only metrics.jsonl: one JSON object a line, survives kill -9, a torn last line is dropped on reading."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line in a single write. Raises ValueError for NaN or infinity, which JSON cannot hold."""
    line = json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n"
    with path.open("ab") as file:
        if file.tell() and not _ends_with_newline(path):
            file.write(b"\n")  # a kill tore the last line; do not glue this one to it
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict[str, Any]]:
    """Every whole line, in order; a file that is not there is empty."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:  # torn by a kill, or empty
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
