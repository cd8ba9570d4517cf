"""Every part's documents under one running number, their place: what the shuffle of deduplication counts by.

Places follow the order of the parts. Nothing that is decided depends on them: ranks do, and ranks end in the id.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orfevre.artifact import write_text
from orfevre.curate.signs import INDEX
from orfevre.recipe import Dedup

Ints = NDArray[np.int64]

KEYS_IN_RUN = 8 * 2**20
"""Band keys of a group of parts, about: 96 MB on disk, three times that while they are sorted."""

KEYS_IN_RANGE = 4 * 2**20
"""Band keys that are sorted at once when candidates are looked for."""

SLICE_RECORDS = 16 * 2**10
"""Records of one range in one group's file, at least, on average: with more documents, groups and ranges grow as the
square root, so that a range is not thousands of small reads."""

FILE = "catalogue.json"


@dataclass(frozen=True)
class Part:
    """A part file (any suffix) beside which `signs.write` left its files, and how its source ranks (0 is best)."""

    path: Path
    priority: int


@dataclass(frozen=True)
class Catalogue:
    parts: tuple[Part, ...]
    starts: Ints
    """Place of each part's first document, then the number of documents."""

    groups: tuple[tuple[int, int], ...]
    """First part and the one after the last, of each group of parts that one task works on."""

    num_ranges: int
    """Into how many ranges keys are split; each is one task."""

    @property
    def num_documents(self) -> int:
        return int(self.starts[-1])

    def span(self, group: int) -> tuple[int, int]:
        """First place of a group, and the one after its last."""
        first, after = self.groups[group]
        return int(self.starts[first]), int(self.starts[after])

    def load(self, part: int, name: str) -> Any:
        """A part's `index`, `keys` or `shingles`, mapped, not read."""
        return np.load(self.parts[part].path.with_suffix(f".{name}.npy"), mmap_mode="r")

    def rows(self, places: Ints) -> tuple[NDArray[np.void], Ints]:
        """INDEX rows of these places, and their sources' priorities (0 is best)."""
        index, priorities = np.zeros(len(places), INDEX), np.zeros(len(places), np.int64)
        owners = np.searchsorted(self.starts, places, side="right") - 1
        for owner in np.unique(owners):
            mine = owners == owner
            index[mine] = self.load(owner, "index")[places[mine] - self.starts[owner]]
            priorities[mine] = self.parts[owner].priority
        return index, priorities

    def save(self, folder: Path) -> None:
        table = {
            "parts": [[str(part.path), part.priority] for part in self.parts],
            "starts": self.starts.tolist(),
            "groups": self.groups,
            "num_ranges": self.num_ranges,
        }
        write_text(folder / FILE, json.dumps(table))


def build(parts: Sequence[Part], rules: Dedup) -> Catalogue:
    """Groups and ranges depend on the documents and the rules alone, never on how many workers there are."""
    sizes = [len(np.load(part.path.with_suffix(".index.npy"), mmap_mode="r")) for part in parts]
    starts = np.cumsum([0, *sizes]).astype(np.int64)
    num_keys = int(starts[-1]) * rules.num_bands
    least = math.isqrt(num_keys * SLICE_RECORDS)
    groups = _grouped(sizes, max(KEYS_IN_RUN, least) // rules.num_bands)
    return Catalogue(tuple(parts), starts, groups, 1 + num_keys // max(KEYS_IN_RANGE, least))


def read(folder: Path) -> Catalogue:
    """What `save` left: tasks of one worker share it."""
    return _read(folder, (folder / FILE).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read(folder: Path, saved: int) -> Catalogue:
    table = json.loads((folder / FILE).read_text(encoding="utf-8"))
    parts = tuple(Part(Path(path), priority) for path, priority in table["parts"])
    groups = tuple((first, after) for first, after in table["groups"])
    return Catalogue(parts, np.array(table["starts"], np.int64), groups, table["num_ranges"])


def _grouped(sizes: Sequence[int], limit: int) -> tuple[tuple[int, int], ...]:
    groups: list[tuple[int, int]] = []
    first = held = 0
    for part, size in enumerate(sizes):
        if part > first and held + size > limit:
            groups.append((first, part))
            first, held = part, 0
        held += size
    return (*groups, (first, len(sizes)))
