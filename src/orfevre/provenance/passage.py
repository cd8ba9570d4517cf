"""Finds documents by a passage of theirs: by the share of its word n-grams that each document holds.

Words are compared without case, accents and punctuation (kernels/folding.py), so a share of 1 is the passage itself,
however it is set; less is a passage that a document has parts of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orfevre import console
from orfevre.errors import InputError
from orfevre.kernels import overlap
from orfevre.kernels.overlap_numpy import gram_hashes
from orfevre.provenance.runs import Run, batches

GRAM_WORDS = 8
"""Words of an n-gram; all words of a shorter passage."""


@dataclass(frozen=True)
class Held:
    """A document that holds a part of the passage."""

    kind: str
    path: Path
    id: str
    share: float
    """Of the passage's distinct n-grams."""


def search(run: Run, passage: str) -> list[Held]:
    """Every document and every drop that holds a part of it, the largest share first, documents before drops.

    Raises InputError for a passage without words.
    """
    words, _ = overlap.word_hashes([passage.encode("utf-8", "replace")])
    if not len(words):
        raise InputError(f"{passage!r}: no words to look for; give a passage, or a document's id (16 hex digits)")
    length = min(GRAM_WORDS, len(words))
    grams = np.unique(gram_hashes(words, length))
    index = overlap.index(grams, grams, (length,), length)
    tables = run.tables()
    found = []
    with console.progress("looking through documents", sum(path.stat().st_size for _, path in tables), "B") as bar:
        for kind, path in tables:
            found += [Held(kind, path, name, share) for name, share in _in_file(path, index)]
            bar.advance(path.stat().st_size)
    return sorted(found, key=lambda held: (-held.share, held.kind != "documents", held.path.name, held.id))


def _in_file(path: Path, index: overlap.Index) -> Iterator[tuple[str, float]]:
    for batch in batches(path, ("id", "text")):
        texts = [(text or "").encode() for text in batch.column("text").to_pylist()]
        documents, grams = overlap.find(texts, index)
        pairs = np.unique(np.stack((documents, grams)), axis=1)
        rows, counts = np.unique(pairs[0], return_counts=True)
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            yield batch.column("id")[row].as_py(), count / len(index.grams)
