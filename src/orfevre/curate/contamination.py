"""Documents that hold items of evaluation sets are dropped; what was found is recorded both ways.

The rule is GPT-3's (arXiv 2005.14165, appendix C): 13 words in a row, compared without case, accents and punctuation
(kernels/folding.py). There one shared 13-gram marks a text, unless more than ten documents share it; here a document
goes when it holds `min_overlap` of one item's n-grams, so that a quotation or a licence that both contain costs
nothing, and an item that was copied into eleven pages is still found in each. Items of fewer than 13 words must be
there whole.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orfevre import artifact, console, runner
from orfevre.curate import contamination_index
from orfevre.curate.contamination_index import Items
from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit
from orfevre.recipe import Recipe

REASON = "contaminated"
REPORT = "contamination.json"
ROWS_AT_ONCE = 256


def prepare(recipe: Recipe, folder: Path) -> None:
    """Build the index of the recipe's tasks, unless it stands."""
    place = folder / contamination_index.FOLDER
    if recipe.tasks and not place.is_dir():
        contamination_index.build(recipe, place)


def step(unit: Unit) -> Step | None:
    folder = unit.prepared / contamination_index.FOLDER
    if not folder.is_dir():
        return None
    items = contamination_index.load(folder)
    least = unit.curate.contamination.min_overlap

    def judge(drafts: Sequence[Draft]) -> None:
        documents, found, shares = items.shares([draft.encoded for draft in drafts])
        matched = shares >= least
        documents, found, shares = documents[matched], found[matched], shares[matched]
        for document in np.unique(documents).tolist():
            own = documents == document
            drafts[document].drop = Drop(REASON, _detail(items, found[own], shares[own]))

    return judge


def _detail(items: Items, found: NDArray[np.int64], shares: NDArray[np.float64]) -> str:
    """`boolq 17: 0.83 of its n-grams; 2 more items`, the item with the largest share first."""
    best = int(np.argmax(shares))
    task, number, _ = items.name(int(found[best]))
    more = f"; {len(found) - 1} more" if len(found) > 1 else ""
    return f"{task} {number}: {shares[best]:.2f} of its n-grams{more}"


@dataclass(frozen=True)
class _Piece:
    """A row group of one Parquet file of documents or drops, to be compared again."""

    path: Path
    group: int
    index: Path
    reason: str
    """Only rows with this reason; empty for documents."""
    least: float
    """Smaller shares do not count."""
    num_bytes: int
    """Unpacked."""


@dataclass
class _Seen:
    """Of one item: documents with a share of its n-grams, and the largest share; by whether they were dropped."""

    documents: list[int]
    overlap: list[float]


def survey(recipe: Recipe, prepared: Path, out: Path) -> dict[str, int]:
    """Write contamination.json: which items the dropped documents hold, and what is left of items in those kept.

    Every kept document is compared once more, as it was written: lines that deduplication takes out after the steps
    may bring an item together, which is said. Returns, by task, how many items the dropped documents hold.
    """
    if not recipe.tasks:
        return {}
    folder = prepared / contamination_index.FOLDER
    least = recipe.curate.contamination.min_overlap
    pieces = _pieces(out, folder, least)
    sizes = [float(piece.num_bytes) for piece in pieces]
    found = runner.run_all(
        _survey, pieces, recipe.runner, label="looking for evaluation items", sizes=sizes, unit="B"
    )  # fmt: skip
    seen: dict[int, _Seen] = defaultdict(lambda: _Seen([0, 0], [0.0, 0.0]))
    dropped: Counter[str] = Counter()
    items = contamination_index.load(folder)
    for piece, (rows, tasks) in zip(pieces, found, strict=True):
        side = bool(piece.reason)
        dropped.update(tasks)
        for item, documents, largest in rows:
            seen[item].documents[side] += documents
            seen[item].overlap[side] = max(seen[item].overlap[side], largest)
    if left := [items.name(item)[:2] for item, own in sorted(seen.items()) if own.overlap[0] >= least]:
        console.warn(
            f"{len(left)} evaluation items, {left[0][0]} {left[0][1]} first, stand in kept documents once lines of "
            f"boilerplate are gone from between; {REPORT} lists them"
        )
    table = _table(recipe, items, seen, dropped)
    artifact.write_text(out / REPORT, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    return {name: own["dirty"] for name, own in table["tasks"].items()}


def _pieces(out: Path, index: Path, least: float) -> list[_Piece]:
    """Of documents, any share counts; of drops, those that were reason to drop."""
    pieces = []
    for folder, reason, smallest in (("documents", "", 0.0), ("dropped", REASON, least)):
        for path in sorted((out / folder).glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                pieces += [
                    _Piece(path, group, index, reason, smallest, file.metadata.row_group(group).total_byte_size)
                    for group in range(file.num_row_groups)
                ]
    return pieces


def _survey(piece: _Piece) -> tuple[list[tuple[int, int, float]], dict[str, int]]:
    """(item, documents, largest share) of the piece, and how many documents were dropped for each task."""
    items = contamination_index.load(piece.index)
    documents: Counter[int] = Counter()
    largest: dict[int, float] = defaultdict(float)
    dropped: Counter[str] = Counter()
    for texts in _texts(piece):
        places, found, shares = items.shares(texts)
        counts = shares >= piece.least
        places, found, shares = places[counts], found[counts], shares[counts]
        for item, share in zip(found.tolist(), shares.tolist(), strict=True):
            documents[item] += 1
            largest[item] = max(largest[item], share)
        tasks = {(place, items.name(item)[0]) for place, item in zip(places.tolist(), found.tolist(), strict=True)}
        dropped.update(task for _, task in tasks if piece.reason)
    return [(item, documents[item], largest[item]) for item in sorted(documents)], dict(dropped)


def _texts(piece: _Piece) -> Any:
    columns = ["text", "reason"] if piece.reason else ["text"]
    with pq.ParquetFile(piece.path) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[piece.group], columns=columns):
            texts = batch.column("text").to_pylist()
            reasons = batch.column("reason").to_pylist() if piece.reason else [""] * len(texts)
            yield [text.encode() for text, reason in zip(texts, reasons, strict=True) if reason == piece.reason]


def _table(recipe: Recipe, items: Items, seen: dict[int, _Seen], dropped: Counter[str]) -> dict[str, Any]:
    rules = recipe.curate.contamination
    tasks: dict[str, Any] = {}
    for task in recipe.tasks:
        files = [file for file in items.files if file["task"] == task.name]
        first, count = files[0]["first"], sum(file["items"] for file in files)
        own = [(item, seen[item]) for item in sorted(seen) if first <= item < first + count]
        tasks[task.name] = {
            "items": count,
            "too_short": sum(file["too_short"] for file in files),
            "not_checked": int((items.sizes[first : first + count] == 0).sum()),
            "documents_dropped": dropped[task.name],
            "dirty": sum(one.overlap[1] >= rules.min_overlap for _, one in own),
            "partly_in_documents": sum(one.documents[0] > 0 for _, one in own),
            "found": [_row(items, item, one) for item, one in own],
        }
    return {**rules.model_dump(), "tasks": tasks}


def _row(items: Items, item: int, one: _Seen) -> dict[str, Any]:
    _, number, location = items.name(item)
    row: dict[str, Any] = {"item": number, "location": location}
    for side, name in ((1, "dropped"), (0, "kept")):
        row[name] = {"documents": one.documents[side], "overlap": round(one.overlap[side], 4)}
    return row
