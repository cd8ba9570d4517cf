"""The step between reading and writing: what becomes of every document that passed the rules, over all sources.

Only documents that have a copy or a near relation get a fate of their own, in a file for each source. Any other one
stays, is a group by itself, and falls on the side of the split that its id draws.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate import dedup, ranking, shuffle, split
from orfevre.curate.catalogue import Catalogue, Part
from orfevre.curate.choose import KEPT
from orfevre.curate.split import Groups, Split
from orfevre.curate.units import Unit
from orfevre.recipe import Recipe

FATE = np.dtype([("id", np.uint64), ("status", np.uint8), ("twin", np.uint64), ("group", np.uint64)])
"""One document's fate: its id, dedup's status, the id it duplicates, and its group's id."""

Fates = NDArray[np.void]


@dataclass(frozen=True)
class Settled:
    fates: dict[str, Path]
    """For each source a file of FATE, ordered by id, of the documents that have a relation."""

    split: Split
    kept: dict[str, int]
    """Documents that stay, for each source."""

    groups: Mapping[str, Callable[[], Iterable[Groups]]]
    """What the split was decided by: the groups of each source's kept documents,"""

    shared: Mapping[str, Groups]
    """and those that may span sources."""


def settle(recipe: Recipe, units: Sequence[Unit], folder: Path) -> Settled:
    """Leaves its files in `folder`, and takes up those of a run that was cut short. A source of which nothing is kept
    has no place in the split."""
    names = tuple(source.name for source in recipe.sources)
    priority = ranking.priorities(names, recipe.curate.dedup)
    owner = [names.index(unit.source.name) for unit in units for _ in unit.parts()]
    parts = [Part(part, priority[unit.source.name]) for unit in units for part in unit.parts()]
    catalogue, verdicts = dedup.decide(parts, recipe.curate.dedup, folder, recipe.runner)
    fates = _fates(catalogue, verdicts)
    owners = np.array(owner, np.int64)[np.searchsorted(catalogue.starts, verdicts.place, side="right") - 1]
    of_source = {name: np.sort(fates[owners == number], order="id") for number, name in enumerate(names)}
    paths = {name: folder / f"{name}.fates.npy" for name in names}
    kept = {}
    for number, name in enumerate(names):
        shuffle.save(paths[name], of_source[name])
        mine = [part for part, source in enumerate(owner) if source == number]
        read = sum(int(catalogue.starts[part + 1] - catalogue.starts[part]) for part in mine)
        kept[name] = read - int(np.count_nonzero(of_source[name]["status"] != KEPT))
    groups = {
        name: _Groups(catalogue, tuple(part for part, source in enumerate(owner) if source == number), of_source[name])
        for number, name in enumerate(names)
        if kept[name]
    }
    shared = {name: own.fates["group"][own.fates["status"] == KEPT] for name, own in groups.items()}
    decided = split.decide(groups, shared, recipe.curate.validation_fraction, recipe.seed)
    return Settled(paths, decided, kept, groups, shared)


def look_up(fates: Fates, ids: NDArray[np.uint64]) -> Fates:
    """The fate of each document, ids ascending: that of `fates`, ordered by id (it may be mapped), or else the rule."""
    own = np.zeros(len(ids), FATE)
    own["id"] = own["twin"] = own["group"] = ids
    if len(ids):
        begin, end = np.searchsorted(fates["id"], ids[[0, -1]]) + np.array([0, 1])
        near = np.array(fates[begin:end])
        near = near[np.isin(near["id"], ids)]
        own[np.searchsorted(ids, near["id"])] = near
    return own


@dataclass(frozen=True)
class _Groups:
    """A source's kept documents' groups, part by part."""

    catalogue: Catalogue
    parts: tuple[int, ...]
    fates: Fates

    def __call__(self) -> Iterator[NDArray[np.uint64]]:
        for part in self.parts:
            ids = np.array(self.catalogue.load(part, "index")["id"])
            own = look_up(self.fates, ids)
            yield own["group"][own["status"] == KEPT]


def _fates(catalogue: Catalogue, verdicts: dedup.Verdicts) -> Fates:
    fates = np.zeros(len(verdicts.place), FATE)
    fates["status"] = verdicts.status
    for field, places in (("id", verdicts.place), ("twin", verdicts.twin), ("group", verdicts.group)):
        fates[field] = catalogue.rows(places)[0]["id"]
    return fates
