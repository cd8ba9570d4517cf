"""Splits a coarse source by topic, between settling and writing: `[[sources]] domains = 8`.

    sample   a seeded sample of the kept documents of each part file
    fit      clusters of the sample (clusters.py), in the main process, and the words that name them
    label    the cluster of every kept document, a file for each part file
    follow   near-duplicates that stay go where the best of their group goes

A part is then a source like any other: it has its own documents/<part>.parquet, training and validation text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orfevre import runner
from orfevre.curate import clusters, shuffle, split, trimming
from orfevre.curate.choose import KEPT
from orfevre.curate.classifier import excerpt
from orfevre.curate.clusters import Clusters
from orfevre.curate.settle import Fates, Settled, look_up
from orfevre.curate.split import Groups, Split
from orfevre.errors import InputError
from orfevre.kernels import minhash_numpy
from orfevre.recipe import Recipe, Source

LABEL = np.dtype([("id", np.uint64), ("part", np.uint8)])
"""A kept document's id and the number of its part, from 0."""

SAMPLE_DOCUMENTS = 10_000
"""Kept documents of a source that its clusters are fitted to, about."""

MOST_BYTES = 8_192
"""Of a longer document so many bytes are looked at: of its beginning, middle and end."""

SALT = 0x646F6D61696E73
"""So that the sample is not drawn as the split is."""

FIT = "clusters.npz"


@dataclass(frozen=True)
class Divided:
    split: Split
    """Of all sources, parts among them."""

    labels: Mapping[str, tuple[Path, ...]]
    """Of each source that was split: a file of LABEL, ordered by id, for each of its part files."""

    words: Mapping[str, list[str]]
    """Of each part: what tells it from the others."""


@dataclass(frozen=True)
class Piece:
    """One part file of a source that is split."""

    part: Path
    fates: Path
    rate: float
    seed: int
    folder: Path
    number: int

    @property
    def sample(self) -> Path:
        return self.folder / f"{self.number:06d}.sample.arrow"

    @property
    def labels(self) -> Path:
        return self.folder / f"{self.number:06d}.npy"


def divide(recipe: Recipe, settled: Settled, files: Mapping[str, Sequence[Path]], folder: Path) -> Divided:
    """Split every source that asks for it; `files` are each source's part files. Leaves its own files in `folder`.

    Raises InputError for a source that cannot be split into so many parts that each have both sides of the split.
    """
    coarse = [source for source in recipe.sources if source.domains > 1]
    labels: dict[str, tuple[Path, ...]] = {}
    words: dict[str, list[str]] = {}
    groups, shared = dict(settled.groups), dict(settled.shared)
    for source in coarse:
        rate = min(1.0, SAMPLE_DOCUMENTS / max(settled.kept[source.name], 1))
        pieces = [
            Piece(file, settled.fates[source.name], rate, recipe.seed, folder / source.name, number)
            for number, file in enumerate(files[source.name])
        ]
        words |= _label_all(recipe, source, pieces)
        _follow(pieces)
        labels[source.name] = tuple(piece.labels for piece in pieces)
        del groups[source.name]
        for number, name in enumerate(source.parts):
            groups[name] = _Groups(tuple(pieces), number)
            shared[name] = shared[source.name]
            _refuse_small(source, name, groups[name])
    if not coarse:
        return Divided(settled.split, labels, words)
    return Divided(split.decide(groups, shared, recipe.curate.validation_fraction, recipe.seed), labels, words)


def between(files: Sequence[Path], low: int, high: int) -> NDArray[np.void]:
    """LABEL rows of ids from `low` to below `high`, ascending, out of the files of one source."""
    found = [np.zeros(0, LABEL)]
    for file in files:
        labels = np.load(file, mmap_mode="r")
        begin = int(np.searchsorted(labels["id"], np.uint64(low)))
        end = len(labels) if high >= 2**64 else int(np.searchsorted(labels["id"], np.uint64(high)))
        found.append(np.array(labels[begin:end]))
    return np.sort(np.concatenate(found), order="id")


def sample(piece: Piece) -> int:
    """Leave the sampled documents of a part file, by id; return how many they are."""
    import pyarrow as pa

    salt = minhash_numpy.mix(np.array([(piece.seed ^ SALT) % 2**64], np.uint64))
    schema = pa.schema([("id", pa.uint64()), ("text", pa.binary())])
    num_rows = 0
    with pa.OSFile(str(piece.sample), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for ids, texts in _kept(piece):
            drawn = np.flatnonzero(minhash_numpy.mix(ids ^ salt) / 2.0**64 < piece.rate)
            chosen = [excerpt(texts[place].as_py(), MOST_BYTES) for place in drawn.tolist()]
            writer.write_batch(pa.record_batch([pa.array(ids[drawn]), pa.array(chosen, pa.binary())], schema=schema))
            num_rows += len(drawn)
    return num_rows


def label(piece: Piece) -> None:
    """Leave the part of every kept document of a part file, by its own words."""
    with np.load(piece.folder / FIT) as made:
        model = Clusters(made["buckets"], made["idf"], made["centres"])
    found = [np.zeros(0, LABEL)]
    for ids, texts in _kept(piece):
        own = np.zeros(len(ids), LABEL)
        own["id"], own["part"] = ids, model.nearest([excerpt(text, MOST_BYTES) for text in texts.to_pylist()])
        found.append(own)
    shuffle.save(piece.labels, np.concatenate(found))


def _label_all(recipe: Recipe, source: Source, pieces: Sequence[Piece]) -> dict[str, list[str]]:
    """Sample, fit and label one source; return each part's words."""
    pieces[0].folder.mkdir(parents=True, exist_ok=True)
    sizes = [float(piece.part.stat().st_size) for piece in pieces]
    runner.run_all(sample, pieces, recipe.runner, label=f"sampling {source.name}", sizes=sizes, unit="B")
    texts = _sampled(pieces)
    if len(texts) < 2 * source.domains:
        raise InputError(
            f"sources.{source.name}.domains = {source.domains}: {len(texts)} documents are kept, too few for so many "
            "parts; give it more files or ask for fewer domains"
        )
    try:
        model, labels = clusters.fit(texts, source.domains, recipe.seed)
    except ValueError as error:
        raise InputError(f"sources.{source.name}.domains = {source.domains}: {error}; leave it whole") from None
    with (pieces[0].folder / FIT).open("wb") as file:
        np.savez(file, buckets=model.buckets, idf=model.idf, centres=model.centres)
    runner.run_all(label, pieces, recipe.runner, label=f"splitting {source.name}", sizes=sizes, unit="B")
    named = clusters.words([text.decode("utf-8", "replace") for text in texts], labels, source.domains)
    return dict(zip(source.parts, named, strict=True))


def _kept(piece: Piece) -> Iterator[tuple[NDArray[np.uint64], Any]]:
    """Ids, ascending, and texts (binary) of the documents of a part file that stay, batch by batch."""
    import pyarrow as pa

    fates = np.load(piece.fates, mmap_mode="r")
    for batch in trimming.batches(piece.part):
        passed = np.flatnonzero(np.asarray(batch.column("reason").is_null()))
        ids = batch.column("id").to_numpy()[passed]
        stays = look_up(fates, ids)["status"] == KEPT
        yield ids[stays], batch.column("text").take(pa.array(passed[stays])).cast(pa.binary())


def _sampled(pieces: Sequence[Piece]) -> list[bytes]:
    """In the order of their ids, whatever parts they were read in."""
    import pyarrow as pa

    found: list[tuple[int, bytes]] = []
    for piece in pieces:
        with pa.OSFile(str(piece.sample)) as file:
            table = pa.ipc.open_file(file).read_all()
        found += zip(table.column("id").to_pylist(), table.column("text").to_pylist(), strict=True)
    return [text for _, text in sorted(found)]


def _follow(pieces: Sequence[Piece]) -> None:
    """Give documents of one group the part of its best document, or of the one of lowest id where that is in another
    source. Memory: the documents that have a relation, as in settling."""
    fates = np.load(pieces[0].fates)
    related: Fates = fates[fates["status"] == KEPT]
    if not len(related):
        return
    known = np.sort(np.concatenate([_among(piece, related["id"]) for piece in pieces]), order="id")
    groups = look_up(related, known["id"])["group"]
    first = np.lexsort((known["id"], known["id"] != groups, groups))  # the last key weighs most
    _, begin, group = np.unique(groups[first], return_index=True, return_inverse=True)
    leader = np.empty(len(known), np.int64)
    leader[first] = first[begin][group]
    known["part"] = known["part"][leader]
    for piece in pieces:
        labels = np.load(piece.labels)
        mine = np.isin(labels["id"], known["id"])
        labels["part"][mine] = known["part"][np.searchsorted(known["id"], labels["id"][mine])]
        shuffle.save(piece.labels, labels)


def _among(piece: Piece, ids: NDArray[np.uint64]) -> NDArray[np.void]:
    labels = np.load(piece.labels)
    return np.asarray(labels[np.isin(labels["id"], ids)])


@dataclass(frozen=True)
class _Groups:
    """Groups of the documents of one part, file by file."""

    pieces: tuple[Piece, ...]
    number: int

    def __call__(self) -> Iterator[Groups]:
        for piece in self.pieces:
            labels = np.load(piece.labels)
            ids = labels["id"][labels["part"] == self.number]
            yield look_up(np.load(piece.fates, mmap_mode="r"), ids)["group"]


def _refuse_small(source: Source, name: str, groups: Callable[[], Iterable[Groups]]) -> None:
    """Two groups are the least that can be on two sides."""
    seen = np.zeros(0, np.uint64)
    for some in groups():
        seen = np.unique(np.concatenate((seen, some)))[:2]
        if len(seen) == 2:
            return
    raise InputError(
        f"sources.{source.name}.domains = {source.domains}: {name} came out with {len(seen)} document(s), those alike "
        "counted once, too few to have both training and validation text; ask for fewer domains or give "
        f"{source.name} more files"
    )
