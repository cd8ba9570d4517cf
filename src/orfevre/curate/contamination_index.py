"""The index of all evaluation items' n-grams that documents are compared with, built once a run and mapped by workers.

prepared/contamination/grams.npy    uint64 [grams], sorted: hashes of n-grams (kernels/overlap.py)
                       starts.npy   int64 [grams + 1], items.npy int32: items that hold gram g are
                                    items[starts[g] : starts[g + 1]]
                       sizes.npy    int32 [items]: distinct n-grams of each item; 0 where it cannot be looked for
                       heads.npy, filter.npy   uint64: of the n-grams' first words
                       index.json   lengths of n-grams and heads, and the files items came from
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orfevre import artifact
from orfevre.data import tasks
from orfevre.kernels import overlap
from orfevre.kernels.overlap_numpy import gram_hashes
from orfevre.recipe import Contamination, Recipe

FOLDER = "contamination"
ITEMS_AT_ONCE = 8192

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Items:
    """All evaluation items, numbered through in the order of tasks and files, and where their n-grams are."""

    index: overlap.Index
    starts: Ints
    owners: NDArray[np.int32]
    sizes: NDArray[np.int32]
    files: Sequence[dict[str, Any]]
    """`{"task", "location", "first", "items", "too_short"}` of each file."""

    def name(self, item: int) -> tuple[str, int, str]:
        """Task, number of the item in its task from 1, and its location."""
        file = next(each for each in reversed(self.files) if each["first"] <= item)
        first = next(each["first"] for each in self.files if each["task"] == file["task"])
        return file["task"], item - first + 1, f"{file['location']}#{item - file['first'] + 1}"

    def shares(self, texts: Sequence[bytes]) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """Document, item, and the share of the item's n-grams that the document holds, for every share above 0.

        Three arrays `[num_overlaps]`, ordered by document, then item.
        """
        documents, grams = overlap.find(texts, self.index)
        documents, grams = np.divmod(np.unique(documents * len(self.index.grams) + grams), len(self.index.grams) or 1)
        counts = self.starts[grams + 1] - self.starts[grams]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        owners = self.owners[np.repeat(self.starts[grams], counts) + within].astype(np.int64)
        pairs, shared = np.unique(np.repeat(documents, counts) * len(self.sizes) + owners, return_counts=True)
        documents, owners = np.divmod(pairs, len(self.sizes))
        return documents, owners, shared / self.sizes[owners]


def build(recipe: Recipe, folder: Path) -> None:
    """Read every task and leave the index in `folder`, whole or not at all. Raises InputError for a bad task file."""
    grams, owners, files = _all_grams(recipe)
    rules = recipe.curate.contamination
    keep = ~_too_common(grams.hashes, owners, files, rules.max_items)
    hashes, owners = _distinct(grams.hashes[keep], owners[keep])
    unique, first = np.unique(hashes, return_index=True)
    made = overlap.index(unique, grams.heads, grams.lengths, rules.min_words)
    num_items = sum(file["items"] for file in files)
    arrays: dict[str, NDArray[Any]] = {
        "grams": made.grams, "starts": np.append(first, len(hashes)).astype(np.int64),
        "items": owners.astype(np.int32), "sizes": np.bincount(owners, minlength=num_items).astype(np.int32),
        "heads": made.heads, "filter": made.filter,
    }  # fmt: skip
    table = {"lengths": list(made.lengths), "head_width": made.head_width, "files": files}
    aside = folder.with_name(folder.name + ".aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(aside / f"{name}.npy", array, allow_pickle=False)
    artifact.write_text(aside / "index.json", json.dumps(table, ensure_ascii=False))
    aside.rename(folder)


def load(folder: Path) -> Items:
    """Map the index that `build` left."""
    table = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("grams", "starts", "items", "sizes", "heads", "filter")
    }
    lengths, head_width = tuple(table["lengths"]), table["head_width"]
    index = overlap.Index(arrays["grams"], arrays["heads"], lengths, head_width, arrays["filter"])
    return Items(index, arrays["starts"], arrays["items"], arrays["sizes"], table["files"])


@dataclass(frozen=True)
class _Grams:
    hashes: Hashes
    heads: Hashes
    lengths: tuple[int, ...]


def _all_grams(recipe: Recipe) -> tuple[_Grams, Ints, list[dict[str, Any]]]:
    """Distinct (n-gram, item) pairs: the n-grams, the items' numbers; and the items' files."""
    rules = recipe.curate.contamination
    files: list[dict[str, Any]] = []
    hashes, owners, heads, sizes = [], [], [], []
    num_items = 0
    for words, counts, places in _batches(recipe):
        own, items, starts = _grams_of(words, counts, rules)
        hashes.append(own)
        owners.append(items + num_items)
        heads.append(starts)
        sizes.append(counts)
        for (task, location), count in zip(places, counts.tolist(), strict=True):
            if not files or (files[-1]["task"], files[-1]["location"]) != (task, location):
                files.append({"task": task, "location": location, "first": num_items, "items": 0, "too_short": 0})
            files[-1]["items"] += 1
            files[-1]["too_short"] += count < rules.min_words
            num_items += 1
    present = np.unique(np.minimum(np.concatenate(sizes), rules.ngram)).tolist()
    lengths = tuple(length for length in present if length >= rules.min_words)
    grams = _Grams(np.concatenate(hashes), np.concatenate(heads), lengths)
    return grams, np.concatenate(owners), files


def _batches(recipe: Recipe) -> Iterator[tuple[Hashes, Ints, list[tuple[str, str]]]]:
    """Words of some items one after another, how many each has, and task and file of each."""
    for task in recipe.tasks:
        items = tasks.read(recipe, task)
        while batch := list(islice(items, ITEMS_AT_ONCE)):
            words, counts = overlap.word_hashes([item.text.encode("utf-8", "replace") for item in batch])
            yield words, counts, [(task.name, item.location.rpartition("#")[0]) for item in batch]


def _grams_of(words: Hashes, counts: Ints, rules: Contamination) -> tuple[Hashes, Ints, Hashes]:
    """Distinct n-grams and their items: of ngram words, or of all the words of a shorter item; and the heads."""
    ends = np.cumsum(counts)
    starts = ends - counts
    owner = np.repeat(np.arange(len(counts)), counts)
    wide = gram_hashes(words, rules.ngram)
    inside = np.arange(len(wide)) + rules.ngram <= ends[owner[: len(wide)]]
    hashes, owners = [wide[inside]], [owner[: len(wide)][inside]]
    every_head = gram_hashes(words, rules.min_words)
    heads = [every_head[: len(wide)][inside]]
    for length in range(rules.min_words, rules.ngram):
        items = np.flatnonzero(counts == length)
        if len(items):
            hashes.append(gram_hashes(words, length)[starts[items]])
            owners.append(items)
            heads.append(every_head[starts[items]])
    return *_distinct(np.concatenate(hashes), np.concatenate(owners).astype(np.int64)), np.concatenate(heads)


def _distinct(hashes: Hashes, owners: Ints) -> tuple[Hashes, Ints]:
    """The pairs without repeats, ordered by hash, then owner."""
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.ones(len(order), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
    return hashes[new], owners[new]


def _too_common(hashes: Hashes, owners: Ints, files: Sequence[dict[str, Any]], max_items: int) -> NDArray[np.bool_]:
    """Marks (n-gram, item) pairs whose n-gram more than max_items items of the item's task hold."""
    names = list(dict.fromkeys(file["task"] for file in files))
    task = np.repeat([names.index(file["task"]) for file in files], [file["items"] for file in files])[owners]
    common = np.zeros(len(hashes), bool)
    for number in range(len(names)):
        own = np.flatnonzero(task == number)
        _, place, counts = np.unique(hashes[own], return_inverse=True, return_counts=True)
        common[own] = counts[place] > max_items
    return common
