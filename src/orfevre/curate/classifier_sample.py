"""A seeded sample of raw documents for the classifier: in the order of a hash of the files' names, cut into pieces."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orfevre.curate.normalise import normalise
from orfevre.data import sources
from orfevre.data.readers.reader import read as read_file
from orfevre.data.readers.record import Record
from orfevre.recipe import Recipe, Source

PIECE_CHARS, MOST_PIECES = 2_000, 8
"""A long document gives so many pieces, evenly placed: a novel must not outweigh a thousand pages."""

HELD_OUT = 0.2
"""Share of documents that only measure."""

FILES = 64
"""A source's share of the sample is drawn from about so many of its files, where it has them."""


@dataclass(frozen=True, slots=True)
class Document:
    digest: bytes
    """SHA-256 of the normalised text."""
    pieces: tuple[bytes, ...]
    held_out: bool


def read(recipe: Recipe, names: Sequence[str]) -> list[Document]:
    """Documents of these sources, each once, about sample_bytes of text in all."""
    share = recipe.curate.classifier.sample_bytes // len(names)
    found: dict[bytes, Document] = {}
    for name in names:
        found |= {document.digest: document for document in _of_source(recipe, recipe.source(name), share)}
    return list(found.values())


def _of_source(recipe: Recipe, source: Source, budget: int) -> Iterator[Document]:
    files = sorted(sources.resolve(recipe, source), key=lambda file: _draw(recipe.seed, file.location))
    each = max(budget // min(len(files), FILES), 1)
    for file in files:
        if budget <= 0:
            return
        # a large file gives a share of its records from further in, not all of its first ones
        rate = min(1.0, max(0.25, each / max(file.num_bytes, 1)))
        held = 0
        for item in read_file(source, file, recipe.curate):
            if not isinstance(item, Record) or _draw(recipe.seed, f"{file.location}#{item.number}") >= rate:
                continue
            document = _document(recipe, item.text)
            if document is not None:
                held += sum(map(len, document.pieces))
                yield document
            if held >= min(each, budget):
                break
        budget -= held


def _document(recipe: Recipe, text: str) -> Document | None:
    """None for a text that the first rules would drop whatever it says."""
    text = normalise(text)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return None
    rules = recipe.curate.quality
    if not rules.min_chars <= len(text) <= rules.max_chars:
        return None
    digest = hashlib.sha256(data).digest()
    return Document(digest, tuple(_pieces(text)), _draw(recipe.seed, digest.hex()) < HELD_OUT)


def _pieces(text: str) -> Iterator[bytes]:
    count = min(MOST_PIECES, max(1, len(text) // PIECE_CHARS))
    if count == 1:
        yield text[:PIECE_CHARS].encode()
        return
    step = (len(text) - PIECE_CHARS) / (count - 1)
    for place in range(count):
        start = round(place * step)
        yield text[start : start + PIECE_CHARS].encode()


def _draw(seed: int, name: str) -> float:
    """Uniform in [0, 1), the same for the same seed and name everywhere."""
    data = f"{seed}:classifier:{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") / 2**64
