"""From documents to shards: rows of a source become a part, in a worker of its own; parts are joined in order.

A part is a small tokenize folder. Its index.json is written last, so a part that has one is whole, and a later attempt
need not make it again. Where parts are cut depends on the documents alone, and shards are the same bytes anyhow.
"""

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orfevre.data import documents, encoders, fertility, shards, tokenizer
from orfevre.errors import InputError
from orfevre.kernels import tokens

PART_BYTES = 32 * 2**20
"""Text in one part, about: what a kill can lose."""

BATCH_BYTES = 4 * 2**20
"""Text in memory at once in each worker, about."""

COLUMNS = ("id", "text", "language", "num_bytes", "split")


@dataclass(frozen=True)
class Part:
    """Rows [first, last) of a source's documents, and the folder they go to."""

    source: str
    documents: Path
    first: int
    last: int
    num_bytes: int
    tokenizer: Path
    engine: str
    folder: Path


@dataclass(frozen=True, eq=False)
class Source:
    """What is known of a source before its text is read: bytes and split of each row."""

    name: str
    documents: Path
    num_bytes: npt.NDArray[np.int64]
    is_train: npt.NDArray[np.bool_]
    group_ends: npt.NDArray[np.int64]
    """Rows up to the end of each row group: a reader that begins inside one unpacks what comes before."""

    @property
    def train_bytes(self) -> int:
        return int(self.num_bytes[self.is_train].sum())


def measure(curated: Path, name: str) -> Source:
    """Raises InputError if the source's documents are missing or are not a Parquet file with the right columns."""
    path = documents.path_of(curated, name)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["num_bytes", "split"])
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        is_train = pc.equal(table.column("split"), documents.TRAIN).to_numpy().astype(np.bool_)
        num_bytes = table.column("num_bytes").to_numpy().astype(np.int64)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        cause = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read ({cause}); delete the curate folder and run again") from None
    return Source(name, path, num_bytes, is_train, np.cumsum(sizes, dtype=np.int64))


def cut(source: Source, tokenizer_path: Path, engine: str, parts: Path) -> list[Part]:
    """The parts of a source, consecutive rows. An empty source has one."""
    return [
        Part(
            source=source.name,
            documents=source.documents,
            first=first,
            last=last,
            num_bytes=int(source.num_bytes[first:last].sum()),
            tokenizer=tokenizer_path,
            engine=engine,
            folder=parts / f"{source.name}-{number:05d}",
        )
        for number, (first, last) in enumerate(itertools.pairwise(_bounds(source)))
    ]


def _bounds(source: Source) -> list[int]:
    """Row groups are put together until PART_BYTES are full; one of twice as much is cut inside."""
    ends = np.cumsum(source.num_bytes)
    bounds, filled, begin = [0], 0, 0
    for end in source.group_ends.tolist():
        size = int(source.num_bytes[begin:end].sum())
        if size > 2 * PART_BYTES:
            numbers = ends[begin:end] - source.num_bytes[begin:end] - ends[begin] + source.num_bytes[begin]
            inside = np.unique(numbers // PART_BYTES, return_index=True)[1]
            bounds += [*(begin + inside).tolist(), end]
            filled = 0
        else:
            filled += size
            if filled >= PART_BYTES:
                bounds.append(end)
                filled = 0
        begin = end
    return sorted({*bounds, len(source.num_bytes)}) if len(source.num_bytes) else [0, 0]


def is_whole(part: Part) -> bool:
    return (part.folder / "index.json").exists()


def encode(part: Part) -> None:
    """Make one part. Overwrites what a killed attempt left of it. Raises InputError when the tokenizer loses text."""
    made = _loaded(part.tokenizer, part.tokenizer.stat().st_mtime_ns, part.engine)
    dtype = shards.dtype_for(made.tokenizer.vocab_size)
    folder = part.folder / "shards" / part.source
    languages: list[fertility.Languages] = []
    with shards.ShardWriter(folder, "train", dtype) as train, shards.ShardWriter(folder, "validation", dtype) as held:
        for rows in _rows(part):
            encoded = made.encoder.encode(rows.column("text"))
            languages.append(fertility.by_language(rows.column("language"), _measured(part, made, rows, encoded)))
            _write(made.tokenizer, rows, encoded, train, held)
    sizes = shards.SourceIndex(train=train.sizes, validation=held.sizes)
    counted = fertility.total(languages)
    fertility.write(part.folder, fertility.Fertility(sources={part.source: counted}))
    shards.write_index(part.folder, index_of(made.tokenizer, {part.source: sizes}))


class Loaded(NamedTuple):
    tokenizer: tokenizer.Tokenizer
    encoder: encoders.Encoder
    byte_sizes: npt.NDArray[np.uint16] | None


@lru_cache(maxsize=1)
def _loaded(path: Path, _modified: int, engine: str) -> Loaded:
    """Kept from part to part: gigatoken remembers the words it has met."""
    made = tokenizer.load(path)
    return Loaded(made, encoders.encoder(engine, made), encoders.byte_sizes(made))


def _measured(part: Part, made: Loaded, rows: Any, encoded: encoders.Encoded) -> fertility.Measured:
    data, offsets = encoders.text_buffer(rows.column("text"))
    num_bytes = np.diff(offsets)
    if made.byte_sizes is not None:
        spelled = tokens.spelled_bytes(encoded.ids, encoded.offsets, made.byte_sizes)
        if len(wrong := np.flatnonzero(spelled != num_bytes)):
            name = rows.column("id")[int(wrong[0])].as_py()
            raise InputError(
                f"{part.documents}: document {name} has {num_bytes[wrong[0]]} bytes and its tokens spell "
                f"{spelled[wrong[0]]}; {part.engine} loses text with {part.tokenizer}: choose another tokenize.engine"
            )
    characters, words = tokens.count_text(data, offsets)
    return fertility.Measured(num_bytes, characters, words, np.diff(encoded.offsets))


def _write(
    made: tokenizer.Tokenizer, rows: Any, encoded: encoders.Encoded, train: shards.ShardWriter, held: shards.ShardWriter
) -> None:
    """Each run of documents of one split goes to its writer in one piece."""
    framed = tokens.frame(encoded.ids, encoded.offsets, made.bos, made.eos, shards.dtype_for(made.vocab_size))
    lengths = np.diff(encoded.offsets) + 2
    ends = np.concatenate([[0], np.cumsum(lengths)])
    names, num_bytes = rows.column("id").to_pylist(), rows.column("num_bytes").to_numpy()
    is_train = pc.equal(rows.column("split"), documents.TRAIN).to_numpy(zero_copy_only=False)
    changes = np.flatnonzero(is_train[1:] != is_train[:-1]) + 1
    for first, last in itertools.pairwise([0, *changes.tolist(), len(names)]):
        writer = train if is_train[first] else held
        writer.extend(
            names[first:last], framed[ends[first] : ends[last]], lengths[first:last], num_bytes[first:last]
        )  # fmt: skip


def join(parts: Sequence[Part], out: Path, index: shards.Index) -> shards.SourceIndex:
    """Write the two shards of a source from its parts, in the order of its documents."""
    source = parts[0].source
    sizes = {}
    for split in shards.SPLITS:
        with shards.ShardWriter(out / "shards" / source, split, index.dtype) as writer:
            for part in parts:
                writer.append(shards.open_shard(part.folder, source, split))
        sizes[split] = writer.sizes
    return shards.SourceIndex(**sizes)


def join_fertility(parts: Mapping[str, Sequence[Part]], out: Path) -> None:
    """fertility.json of the stage from those of the parts."""
    sources = {
        name: fertility.total(fertility.read(part.folder).sources[name] for part in of_source)
        for name, of_source in parts.items()
    }
    fertility.write(out, fertility.Fertility(sources=sources))


def index_of(made: tokenizer.Tokenizer, sources: dict[str, shards.SourceIndex]) -> shards.Index:
    return shards.Index(
        vocab_size=made.vocab_size,
        dtype=shards.dtype_for(made.vocab_size),
        bos=made.bos,
        eos=made.eos,
        pad=made.pad,
        sources=sources,
    )


def remove(parts: Path) -> None:
    shutil.rmtree(parts, ignore_errors=True)


def _rows(part: Part) -> Iterator[Any]:
    """Record batches of the part's rows; row groups before and after it are not read."""
    per_row = max(1, part.num_bytes // max(1, part.last - part.first))
    with pq.ParquetFile(part.documents) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        ends = np.cumsum(sizes, dtype=np.int64)
        begins = ends - sizes
        groups = np.flatnonzero((ends > part.first) & (begins < part.last)).tolist()
        position = int(begins[groups[0]]) if groups else 0
        batch_size = min(max(1, BATCH_BYTES // per_row), 16_384)
        for batch in file.iter_batches(batch_size=batch_size, row_groups=groups, columns=list(COLUMNS)):
            first, last = max(part.first - position, 0), min(part.last - position, batch.num_rows)
            position += batch.num_rows
            if first < last:
                yield batch.slice(first, last - first)
