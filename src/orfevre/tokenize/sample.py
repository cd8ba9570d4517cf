"""The text a tokenizer is trained on: train split only, the same bytes from each source as far as they go."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from orfevre.data import documents

BATCH_CHARS = 2**18
"""Characters handed to the trainer at once: few enough to be light, many enough to keep its threads busy."""


def shares(available: Mapping[str, int], total: int) -> dict[str, int]:
    """Split `total` bytes evenly over the sources; what a small source cannot fill goes to the others evenly.

    Each gets at most what it has; together they get min(total, sum of available), give or take a byte a source.
    """
    taken: dict[str, int] = {}
    left = total
    smallest_first = sorted(available, key=lambda name: (available[name], name))
    for index, name in enumerate(smallest_first):
        taken[name] = min(available[name], left // (len(smallest_first) - index))
        left -= taken[name]
    return {name: taken[name] for name in available}


def batches(curated: Path, budget: Mapping[str, int]) -> Iterator[list[str]]:
    """Batches of texts, source after source, each to its budget in bytes; ordered by document id, which is a hash.

    The document that would pass the budget is cut there, at a character.
    """
    for name, size in budget.items():
        batch, chars = [], 0
        for text in _first_bytes(documents.texts(documents.path_of(curated, name), documents.TRAIN), size):
            batch.append(text)
            chars += len(text)
            if chars >= BATCH_CHARS:
                yield batch
                batch, chars = [], 0
        if batch:
            yield batch


def _first_bytes(texts: Iterator[str], size: int) -> Iterator[str]:
    left = size
    while left > 0 and (text := next(texts, None)) is not None:
        encoded = text.encode()
        if len(encoded) > left:
            text = encoded[:left].decode(errors="ignore")
        left -= len(encoded)
        yield text
