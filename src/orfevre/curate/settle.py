"""The step between reading and writing: what becomes of every document that passed the rules, over all sources."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate import dedup, split
from orfevre.curate.units import INDEX, Unit
from orfevre.recipe import Recipe

FATE = np.dtype(
    [("id", np.uint64), ("status", np.uint8), ("twin", np.uint64), ("group", np.uint64), ("held_out", np.bool_)]
)
"""One document's fate: its id, dedup's status, the id it duplicates, its group's id, and its side of the split."""


def settle(recipe: Recipe, units: Sequence[Unit]) -> dict[str, NDArray[np.void]]:
    """For each source the FATE of its documents, ordered by id. A source of which nothing is kept comes out empty."""
    parts = [part for unit in units for part in unit.parts()]
    names = recipe.source_names
    owner = [names.index(unit.source.name) for unit in units for _ in unit.parts()]
    indexes = [np.load(part.with_suffix(".index.npy")) for part in parts]
    index = np.concatenate([np.zeros(0, INDEX), *indexes])
    sources = np.repeat(np.array(owner, np.int64), [len(piece) for piece in indexes])
    order = dedup.rank(sources, index)
    index, sources = index[order], sources[order]
    starts = np.concatenate(([0], np.cumsum([len(piece) for piece in indexes]))).astype(np.int64)
    verdicts = dedup.decide(index, _has_words(parts)[order], dedup.BandFiles(parts, starts, order), recipe.curate.dedup)
    fates = _fates(index, verdicts)
    _mark_held_out(fates, sources, recipe)
    return {name: np.sort(fates[sources == number], order="id") for number, name in enumerate(names)}


def _has_words(parts: Sequence[Path]) -> NDArray[np.bool_]:
    counts = [np.load(part.with_suffix(".shingles.npy")) for part in parts]
    return np.asarray(np.concatenate([np.zeros(0, np.int64), *counts]) > 0)


def _fates(index: NDArray[np.void], verdicts: dedup.Verdicts) -> NDArray[np.void]:
    fates = np.zeros(len(index), FATE)
    fates["id"] = index["id"]
    fates["status"] = verdicts.status
    fates["twin"] = index["id"][verdicts.twin]
    fates["group"] = index["id"][verdicts.group]
    return fates


def _mark_held_out(fates: NDArray[np.void], sources: NDArray[np.int64], recipe: Recipe) -> None:
    kept = np.flatnonzero(fates["status"] == dedup.KEPT)
    groups = [f"{group:016x}" for group in fates["group"][kept].tolist()]
    owners = [recipe.source_names[number] for number in sources[kept].tolist()]
    present = [name for name in recipe.source_names if name in set(owners)]
    held = split.hold_out(
        list(zip(groups, owners, strict=True)), recipe.curate.validation_fraction, recipe.seed, present
    )
    fates["held_out"][kept] = [group in held for group in groups]
