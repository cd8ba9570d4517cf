"""Long runs of words that several kept documents hold are left in the best of them and taken out of the others.

    anchors  a unit -> hashes of chosen windows of span_words words of its kept documents, by range of hash
    repeats  a range -> the windows that do not stand in the best document that holds them, by unit
    trim     a unit -> another folder, of the same rows, without the words under those windows

Exact substring deduplication (arXiv 2107.06499, section 4.1) by words instead of a suffix array. Of WINNOW windows in a
row the one of least hash is chosen (winnowing, Schleimer and others 2003), so every shared run of at least
span_words + WINNOW - 1 words is found, and up to WINNOW - 1 words may be left at either end of it. Runs after
deduplication: its documents that go hold nothing for others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from orfevre import runner
from orfevre.curate import ranking, shuffle, trimming
from orfevre.curate.choose import KEPT
from orfevre.curate.settle import Settled, look_up
from orfevre.curate.trimming import Cut
from orfevre.curate.units import Unit
from orfevre.kernels import minhash
from orfevre.kernels.minhash_numpy import SHINGLE_BASE, mix
from orfevre.recipe import Recipe

ANCHOR = np.dtype([("key", "<u8"), ("id", "<u8"), ("priority", "<u4"), ("unit", "<u4"), ("word", "<u4")])
REPEAT = np.dtype([("unit", "<u4"), ("id", "<u8"), ("word", "<u4")])

WINNOW = 8
RANGE_BYTES = 256 * 2**20
"""Text for each range of hashes: some ten million anchors."""

REASON = "repeated_span"

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """A unit or a range, by its number among all units or ranges."""

    folder: Path
    number: int
    num_ranges: int
    num_units: int
    span_words: int
    unit: Unit | None = None
    priority: int = 0
    fates: Path | None = None


def trim(recipe: Recipe, units: Sequence[Unit], settled: Settled, folder: Path) -> list[Unit]:
    """The units without repeated spans, in folders of their own; the same units where the recipe asks for nothing."""
    if not recipe.curate.dedup.span_words:
        return list(units)
    priority = ranking.priorities([source.name for source in recipe.sources], recipe.curate.dedup)
    tasks, ranges = _tasks(units, settled.fates, priority, folder, recipe.curate.dedup.span_words)
    for function, some, label in (
        (anchors, [task for task in tasks if not _anchors(task, task.number).exists()], "choosing windows"),
        (repeats, [task for task in ranges if not _repeats(task, task.number).exists()], "finding repeated spans"),
        (
            rewrite,
            [task for task in tasks if task.unit and not trimmed(task.unit).is_done],
            "taking out repeated spans",
        ),
    ):
        runner.run_all(function, some, recipe.runner, label=label)
    return [trimmed(unit) for unit in units]


def _tasks(
    units: Sequence[Unit], fates: Mapping[str, Path], priority: Mapping[str, int], folder: Path, span_words: int
) -> tuple[list[Task], list[Task]]:
    num_ranges = 1 + sum(unit.text_bytes() for unit in units) // RANGE_BYTES
    bare = Task(folder, 0, num_ranges, len(units), span_words)
    tasks = [
        replace(bare, number=n, unit=unit, priority=priority[unit.source.name], fates=fates[unit.source.name])
        for n, unit in enumerate(units)
    ]
    return tasks, [replace(bare, number=number) for number in range(num_ranges)]


def trimmed(unit: Unit) -> Unit:
    return replace(unit, folder=unit.folder.with_name(f"{unit.folder.name}.spans"))


def anchors(task: Task) -> None:
    assert task.unit is not None and task.fates is not None
    fates = np.load(task.fates, mmap_mode="r")
    found = [np.zeros(0, ANCHOR)]
    for part in task.unit.parts():
        for batch in trimming.batches(part):
            rows, texts = trimming.passed(batch)
            ids = batch.column("id").to_numpy()[rows]
            stays = look_up(fates, ids)["status"] == KEPT
            for number, stands, (words, _, _) in zip(ids.tolist(), stays, minhash.words(texts), strict=True):
                keys = windows(words, task.span_words) if stands else words[:0]
                chosen = choose(keys)
                own = np.zeros(len(chosen), ANCHOR)
                own["key"], own["word"], own["id"] = keys[chosen], chosen, number
                found.append(own)
    records = np.concatenate(found)
    records["priority"], records["unit"] = task.priority, task.number
    shuffle.spill(_anchors(task, task.number), records, task.num_ranges)


def windows(words: Hashes, width: int) -> Hashes:
    """A hash of every `width` words in a row."""
    if len(words) < width:
        return words[:0]
    total = np.zeros(len(words) - width + 1, np.uint64)
    for place in range(width):
        total = total * SHINGLE_BASE + words[place : place + len(total)]
    return mix(total)


def choose(keys: Hashes) -> Ints:
    """Places of the chosen windows: the least of every WINNOW in a row, or of all where there are fewer."""
    if not len(keys):
        return np.zeros(0, np.int64)
    views = sliding_window_view(keys, min(WINNOW, len(keys)))
    return np.unique(views.argmin(axis=1) + np.arange(len(views)))


def repeats(task: Task) -> None:
    """Of equal windows those of the best document stay: by source, then id."""
    records = np.concatenate([shuffle.part_of(_anchors(task, unit), task.number) for unit in range(task.num_units)])
    records = records[np.lexsort((records["word"], records["id"], records["priority"], records["key"]))]
    new = np.ones(len(records), bool)
    new[1:] = records["key"][1:] != records["key"][:-1]
    holder = records[np.flatnonzero(new)[np.cumsum(new) - 1]] if len(records) else records
    same = (holder["id"] == records["id"]) & (holder["priority"] == records["priority"])
    gone = records[~new & ~same]  # what a document repeats in itself is the quality rules' to judge
    found = np.zeros(len(gone), REPEAT)
    for field in ("unit", "id", "word"):
        found[field] = gone[field]
    found = np.sort(found, order=["unit", "id", "word"])
    shuffle.save(_cuts(task, task.number), np.searchsorted(found["unit"], np.arange(task.num_units + 1)))
    shuffle.save(_repeats(task, task.number), found)


def rewrite(task: Task) -> None:
    assert task.unit is not None
    found = [np.zeros(0, REPEAT)]
    for number in range(task.num_ranges):
        low, high = np.load(_cuts(task, number))[task.number : task.number + 2].tolist()
        found.append(np.array(np.load(_repeats(task, number), mmap_mode="r")[low:high]))
    own = np.sort(np.concatenate(found), order=["id", "word"])
    trimming.rewrite(task.unit, trimmed(task.unit).folder, partial(_without, own, task.span_words), REASON)


def _without(found: NDArray[np.void], width: int, ids: Sequence[int], texts: Sequence[bytes]) -> list[Cut]:
    edges = np.array(ids, np.uint64)
    starts, ends = (np.searchsorted(found["id"], edges, side=side) for side in ("left", "right"))
    cuts = []
    for text, low, high in zip(texts, starts.tolist(), ends.tolist(), strict=True):
        cuts.append(_cut(text, found["word"][low:high].astype(np.int64), width) if high > low else Cut(None, 0))
    return cuts


def _cut(text: bytes, places: Ints, width: int) -> Cut:
    """The text without the words of these windows, and what stands between them; windows that touch are one span."""
    _, begins, ends = minhash.words([text])[0]
    rest, at, pieces = [], 0, 0
    for place in np.split(places, np.flatnonzero(np.diff(places) > width) + 1):
        rest.append(text[at : begins[place[0]]])
        at, pieces = int(ends[place[-1] + width - 1]), pieces + 1
    return Cut(b"".join([*rest, text[at:]]).decode().strip(), pieces)


def _anchors(task: Task, unit: int) -> Path:
    return shuffle.spilled(task.folder / "anchors", unit)


def _repeats(task: Task, number: int) -> Path:
    return shuffle.spilled(task.folder / "repeats", number)


def _cuts(task: Task, number: int) -> Path:
    return _repeats(task, number).with_suffix(".units.npy")
