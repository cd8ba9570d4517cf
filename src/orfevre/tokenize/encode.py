"""From documents to shards: rows of a source become a part, in a worker of its own; parts are joined in order.

A part is a small tokenize folder. Its index.json is written last, so a part that has one is whole, and a later attempt
need not make it again. Parts are cut by bytes of text, never by the number of workers: the shards are the same bytes.
"""

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orfevre.data import documents, shards, tokenizer
from orfevre.errors import InputError

PART_BYTES = 4 * 2**20
"""Text in one part: a second or two of work, and what a kill can lose."""

BATCH_DOCUMENTS = 64
"""Documents in memory at once, in each worker."""

COLUMNS = ("id", "text", "num_bytes", "split")


@dataclass(frozen=True)
class Part:
    """Rows [first, last) of a source's documents, and the folder they go to."""

    source: str
    documents: Path
    first: int
    last: int
    num_bytes: int
    tokenizer: Path
    folder: Path


@dataclass(frozen=True, eq=False)
class Source:
    """What is known of a source before its text is read: bytes and split of each row."""

    name: str
    documents: Path
    num_bytes: npt.NDArray[np.int64]
    is_train: npt.NDArray[np.bool_]

    @property
    def train_bytes(self) -> int:
        return int(self.num_bytes[self.is_train].sum())


def measure(curated: Path, name: str) -> Source:
    """Raises InputError if the source's documents are missing or are not a Parquet file with the right columns."""
    path = documents.path_of(curated, name)
    try:
        table = pq.read_table(path, columns=["num_bytes", "split"])
        splits = table.column("split")
        num_bytes = table.column("num_bytes").to_numpy().astype(np.int64)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        cause = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read ({cause}); delete the curate folder and run again") from None
    is_train = np.array([split == documents.TRAIN for split in splits.to_pylist()], dtype=np.bool_)
    return Source(name=name, documents=path, num_bytes=num_bytes, is_train=is_train)


def cut(source: Source, tokenizer_path: Path, parts: Path) -> list[Part]:
    """The parts of a source: consecutive rows, a new part wherever PART_BYTES are full. An empty source has one."""
    ends = np.cumsum(source.num_bytes)
    begins = ends - source.num_bytes
    firsts = np.unique(begins // PART_BYTES, return_index=True)[1].tolist() or [0]
    bounds = [*firsts, len(ends)]
    return [
        Part(
            source=source.name,
            documents=source.documents,
            first=first,
            last=last,
            num_bytes=int(source.num_bytes[first:last].sum()),
            tokenizer=tokenizer_path,
            folder=parts / f"{source.name}-{number:05d}",
        )
        for number, (first, last) in enumerate(itertools.pairwise(bounds))
    ]


def is_whole(part: Part) -> bool:
    return (part.folder / "index.json").exists()


def encode(part: Part) -> None:
    """Make one part. Overwrites what a killed attempt left of it."""
    text_tokenizer = tokenizer.load(part.tokenizer)
    dtype = shards.dtype_for(text_tokenizer.vocab_size)
    folder = part.folder / "shards" / part.source
    with shards.ShardWriter(folder, "train", dtype) as train, shards.ShardWriter(folder, "validation", dtype) as held:
        for rows in _rows(part):
            encoded = text_tokenizer.encode_documents(rows.column("text").to_pylist())
            for name, tokens, num_bytes, split in zip(
                rows.column("id").to_pylist(),
                encoded,
                rows.column("num_bytes").to_pylist(),
                rows.column("split").to_pylist(),
                strict=True,
            ):
                (train if split == documents.TRAIN else held).add(name, tokens, num_bytes)
    sizes = shards.SourceIndex(train=train.sizes, validation=held.sizes)
    shards.write_index(part.folder, index_of(text_tokenizer, {part.source: sizes}))


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
    with pq.ParquetFile(part.documents) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        ends = np.cumsum(sizes, dtype=np.int64)
        begins = ends - sizes
        groups = np.flatnonzero((ends > part.first) & (begins < part.last)).tolist()
        position = int(begins[groups[0]]) if groups else 0
        for batch in file.iter_batches(batch_size=BATCH_DOCUMENTS, row_groups=groups, columns=list(COLUMNS)):
            first, last = max(part.first - position, 0), min(part.last - position, batch.num_rows)
            position += batch.num_rows
            if first < last:
                yield batch.slice(first, last - first)
