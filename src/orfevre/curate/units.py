"""Units of work: files grouped by size, and the scratch folder where each unit leaves what it read.

    out/.scratch/<code>/prepared/                         what steps need of the whole recipe (steps.py)
                        unit-000012/part-000000.arrow     rows ordered by id: what was read, and why it was dropped
                                    part-000000.*.npy     what deduplication needs of the rows not dropped
                                    counts.json           of the whole unit

A unit's folder is written aside and renamed: if it stands, it is whole. The code's digest is part of the path, so that
another version of orfevre never builds on it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orfevre import ledger
from orfevre.data.sources import SourceFile
from orfevre.recipe import Curate, Recipe, Source

PREPARED = "prepared"


@dataclass(frozen=True)
class Unit:
    """One task: read these files of one source into `folder`."""

    source: Source
    files: tuple[SourceFile, ...]
    curate: Curate
    folder: Path
    prepared: Path
    """What the steps' `prepare` left for all units."""

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)

    @property
    def is_done(self) -> bool:
        return self.folder.is_dir()

    def parts(self) -> list[Path]:
        """The Arrow file of each part."""
        return sorted(self.folder.glob("part-*.arrow"))

    def text_bytes(self) -> int:
        """UTF-8 bytes of all texts of a finished unit, dropped ones too."""
        return int(self._counts()["text_bytes"])

    def skipped(self) -> dict[str, int]:
        """What archives of a finished unit hold beside documents, by kind."""
        return dict(self._counts()["skipped"])

    def _counts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "counts.json").read_text(encoding="utf-8")))


def split_work(recipe: Recipe, files: Sequence[Sequence[SourceFile]], scratch: Path) -> list[Unit]:
    """Units in the order of the sources and their files; a file larger than shard_bytes is a unit by itself."""
    units: list[Unit] = []
    for source, own in zip(recipe.sources, files, strict=True):
        for group in _grouped(own, recipe.curate.shard_bytes):
            units.append(Unit(source, group, recipe.curate, scratch / f"unit-{len(units):06d}", scratch / PREPARED))
    return units


def scratch_of(out: Path) -> Path:
    """This code's scratch folder under `out`, rid of what another version and a kill have left."""
    folder = out / ".scratch" / ledger.code_digest()
    folder.mkdir(parents=True, exist_ok=True)
    for other in [*folder.parent.iterdir(), *folder.glob("*.aside")]:
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _grouped(files: Sequence[SourceFile], shard_bytes: int) -> list[tuple[SourceFile, ...]]:
    groups: list[list[SourceFile]] = []
    size = 0
    for file in files:
        if not groups or size + file.num_bytes > shard_bytes:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.num_bytes
    return [tuple(group) for group in groups]
