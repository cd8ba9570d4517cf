"""Lines that many documents of a source hold are taken out of them: menus, notices, "share this page".

    count   a unit -> in how many of its documents each line occurs, by range of the line's hash
    common  a source's range -> hashes of the lines that min_documents of its documents hold
    trim    a unit -> another folder, of the same rows, without those lines

Passes between sifting and deduplication, so that neither signatures nor lengths see boilerplate. All are pure functions
from files to files, mapped by the runner. A document that is left shorter than the quality rules allow is dropped, with
its whole text. Code is left alone: its imports and licence headers are common too, and it would not run without.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre import runner
from orfevre.curate import shuffle, trimming
from orfevre.curate.language import is_prose_language
from orfevre.curate.trimming import Cut
from orfevre.curate.units import Unit
from orfevre.kernels import minhash
from orfevre.recipe import Recipe

COUNT = np.dtype([("line", "<u8"), ("documents", "<u4")])

RANGE_BYTES = 2 * 2**30
"""Text of a source for each range of hashes: some tens of millions of lines at most."""

REASON = "boilerplate"

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Source:
    """One source's units, by their order, and where its counts lie."""

    units: tuple[Unit, ...]
    folder: Path
    num_ranges: int


@dataclass(frozen=True)
class Task:
    source: Source
    number: int
    """Of a unit, or of a range."""

    @property
    def unit(self) -> Unit:
        return self.source.units[self.number]


def trim(recipe: Recipe, units: Sequence[Unit], folder: Path) -> list[Unit]:
    """The units without boilerplate, in folders of their own; the very same units where the recipe asks for nothing."""
    if not recipe.curate.boilerplate.min_documents:
        return list(units)
    tasks: list[Task] = []
    ranges: list[Task] = []
    for name in (source.name for source in recipe.sources):
        own = tuple(unit for unit in units if unit.source.name == name and not _is_code(unit))
        size = sum(unit.text_bytes() for unit in own)
        source = Source(own, folder / name, 1 + size // RANGE_BYTES)
        tasks += [Task(source, number) for number in range(len(own))]
        ranges += [Task(source, number) for number in range(source.num_ranges)]
    for function, some, label in (
        (count, [task for task in tasks if not _counted(task.source, task.number).exists()], "counting lines"),
        (common, [task for task in ranges if not _common(task.source, task.number).exists()], "finding boilerplate"),
        (rewrite, [task for task in tasks if not trimmed(task.unit).is_done], "taking out boilerplate"),
    ):
        runner.run_all(function, some, recipe.runner, label=label)
    return [unit if _is_code(unit) else trimmed(unit) for unit in units]


def _is_code(unit: Unit) -> bool:
    return unit.source.format == "code" or not is_prose_language(unit.source.language)


def trimmed(unit: Unit) -> Unit:
    return replace(unit, folder=unit.folder.with_name(f"{unit.folder.name}.trimmed"))


def count(task: Task) -> None:
    rules = task.unit.curate.boilerplate
    found = [np.zeros(0, np.uint64)]
    for part in task.unit.parts():
        for batch in trimming.batches(part):
            for hashes, num_words in minhash.lines(trimming.passed(batch)[1]):
                found.append(np.unique(hashes[num_words >= rules.min_words]))
    lines, counts = np.unique(np.concatenate(found), return_counts=True)
    records = np.zeros(len(lines), COUNT)
    records["line"], records["documents"] = lines, counts
    shuffle.spill(_counted(task.source, task.number), records, task.source.num_ranges)


def common(task: Task) -> None:
    source = task.source
    found = [shuffle.part_of(_counted(source, unit), task.number) for unit in range(len(source.units))]
    records = np.concatenate([np.zeros(0, COUNT), *found])
    lines, which = np.unique(records["line"], return_inverse=True)
    documents = np.bincount(which, records["documents"], len(lines))
    wanted = source.units[0].curate.boilerplate.min_documents if source.units else 1
    shuffle.save(_common(source, task.number), lines[documents >= wanted])


def rewrite(task: Task) -> None:
    """Leave the folder of the trimmed unit complete."""
    source, unit = task.source, task.unit
    lines = np.concatenate([np.load(_common(source, number)) for number in range(source.num_ranges)])
    out = trimmed(unit).folder
    trimming.rewrite(unit, out, partial(_without, lines), REASON)


def _without(lines: Hashes, ids: Sequence[int], texts: Sequence[bytes]) -> list[Cut]:
    found = []
    for text, (hashes, _) in zip(texts, minhash.lines(texts), strict=True):
        gone = np.isin(hashes, lines).tolist()
        if any(gone):
            rest = _join([line for line, out in zip(text.decode().split("\n"), gone, strict=True) if not out])
            found.append(Cut(rest, sum(gone)))
        else:
            found.append(Cut(None, 0))
    return found


def _join(lines: Sequence[str]) -> str:
    """Where lines are gone, one empty line stands between paragraphs, not several."""
    return re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", "\n".join(lines)).strip()


def _counted(source: Source, unit: int) -> Path:
    return source.folder / f"unit-{unit:06d}.npy"


def _common(source: Source, number: int) -> Path:
    return source.folder / f"common-{number:06d}.npy"
