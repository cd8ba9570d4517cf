"""Token shards at rest: what tokenize writes and every later stage reads (docs/reference/artefacts.md, tokenize/).

A shard is one split of one source: a flat stream of token ids, where each document begins, its UTF-8 bytes, its id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from orfevre import artifact
from orfevre.errors import InputError

SPLITS = ("train", "validation")
Tokens = npt.NDArray[np.unsignedinteger[Any]]
Counts = npt.NDArray[np.int64]


class Split(BaseModel):
    """Sizes of one shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int
    documents: int
    bytes: int


class SourceIndex(BaseModel):
    """Sizes of the two shards of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Split
    validation: Split


class Index(BaseModel):
    """index.json: the vocabulary's size, the special tokens' ids, and the sizes of every shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int
    dtype: Literal["uint16", "uint32"]
    bos: int
    eos: int
    pad: int
    sources: dict[str, SourceIndex]


@dataclass(frozen=True, eq=False)
class Shard:
    """One split of one source, mapped from disk; nothing is read until it is touched."""

    source: str
    split: str
    tokens: Tokens
    """uint16 or uint32 [num_tokens]: `<s>` document `</s>` `<s>` document `</s>` ..."""
    documents: Counts
    """int64 [num_documents + 1]: document d is tokens[documents[d] : documents[d + 1]]."""
    num_bytes: Counts
    """int64 [num_documents]: UTF-8 bytes of each document's text."""
    ids_path: Path

    @property
    def num_documents(self) -> int:
        return len(self.num_bytes)

    @cached_property
    def ids(self) -> list[str]:
        """Document ids, in the order of `documents`. Raises InputError if the file does not match the shard."""
        try:
            ids = self.ids_path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise _damaged(self.ids_path, str(error)) from None
        if len(ids) != self.num_documents:
            raise _damaged(self.ids_path, f"{len(ids)} ids for {self.num_documents} documents")
        return ids


def dtype_for(vocab_size: int) -> Literal["uint16", "uint32"]:
    """The narrowest type that holds every id."""
    return "uint16" if vocab_size <= 2**16 else "uint32"


def read_index(folder: Path) -> Index:
    """index.json of a tokenize folder. Raises InputError naming the file."""
    path = folder / "index.json"
    try:
        return Index.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: not found; `orfevre run RECIPE` makes the token shards") from None
    except (OSError, ValidationError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from None


def open_shard(tokenize_folder: Path, source: str, split: str) -> Shard:
    """Map one shard, after checking that its files agree with each other and with index.json.

    Raises InputError naming the file that is missing, truncated or inconsistent.
    """
    index = read_index(tokenize_folder)
    if source not in index.sources:
        raise InputError(
            f"{tokenize_folder / 'index.json'}: no source {source!r}; there are {', '.join(sorted(index.sources))}"
        )
    sizes: Split = getattr(index.sources[source], split)
    stem = tokenize_folder / "shards" / source / split
    shard = Shard(
        source=source,
        split=split,
        tokens=_map_tokens(stem.with_suffix(".bin"), np.dtype(index.dtype), sizes.tokens),
        documents=_load(stem.with_suffix(".documents.npy"), sizes.documents + 1),
        num_bytes=_load(stem.with_suffix(".bytes.npy"), sizes.documents),
        ids_path=stem.with_suffix(".ids.txt"),
    )
    _check_offsets(stem.with_suffix(".documents.npy"), shard)
    if (found := int(shard.num_bytes.sum())) != sizes.bytes:
        raise _damaged(stem.with_suffix(".bytes.npy"), f"{found} bytes, index.json says {sizes.bytes}")
    if not shard.ids_path.exists():
        raise _damaged(shard.ids_path, "not found")
    return shard


class ShardWriter:
    """Writes one shard aside and renames it when the block ends well; after an error nothing is left standing.

    Tokens and ids go to disk as they come; of each document two numbers are kept until the end.

    `folder` is the source's own (`shards/<source>`). The sizes written so far are in `sizes`.
    """

    def __init__(self, folder: Path, split: str, dtype: Literal["uint16", "uint32"]) -> None:
        self._stem = folder / split
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._lengths: list[Counts] = []
        self._num_bytes: list[Counts] = []
        self.sizes = Split(tokens=0, documents=0, bytes=0)

    def __enter__(self) -> Self:
        self._stem.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._aside(".bin").open("wb")
        self._ids = self._aside(".ids.txt").open("w", encoding="utf-8")
        return self

    def add(self, document_id: str, tokens: Sequence[int] | npt.NDArray[Any], num_bytes: int) -> None:
        """One document, special tokens included. Raises OverflowError for an id that the type cannot hold."""
        ids = np.asarray(tokens, dtype=np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() <= np.iinfo(self._dtype).max:
            raise OverflowError(f"document {document_id}: a token id does not fit {self._dtype.name}")
        self.extend([document_id], ids.astype(self._dtype), np.array([ids.size]), np.array([num_bytes]))

    def extend(self, ids: Sequence[str], tokens: npt.NDArray[Any], lengths: Counts, num_bytes: Counts) -> None:
        """Documents one after another, of the shard's own type; `lengths` are their tokens."""
        assert tokens.dtype == self._dtype and len(ids) == len(lengths) == len(num_bytes)
        self._file.write(np.ascontiguousarray(tokens).data)
        self._ids.write("".join(f"{name}\n" for name in ids))
        self._count(lengths, num_bytes)

    def append(self, other: Shard) -> None:
        """Every document of another shard of the same type, in its order: its files are copied as they are."""
        if len(other.tokens):
            self._file.write(np.ascontiguousarray(other.tokens, self._dtype).data)
        self._ids.write(other.ids_path.read_text(encoding="utf-8"))
        self._count(np.diff(other.documents), other.num_bytes)

    def _count(self, lengths: Counts, num_bytes: Counts) -> None:
        self._lengths.append(lengths)
        self._num_bytes.append(num_bytes)
        more = Split(tokens=int(lengths.sum()), documents=len(lengths), bytes=int(num_bytes.sum()))
        self.sizes = totals((self.sizes, more))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._ids.close()
        if kind is not None:
            self._aside(".bin").unlink()
            self._aside(".ids.txt").unlink()
            return
        none = np.zeros(0, np.int64)
        offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *self._lengths]))
        self._save(".documents.npy", offsets.astype("<i8"))
        self._save(".bytes.npy", np.concatenate([none, *self._num_bytes]).astype("<i8"))
        for suffix in (".documents.npy", ".bytes.npy", ".ids.txt", ".bin"):
            self._aside(suffix).replace(self._stem.with_suffix(suffix))

    def _aside(self, suffix: str) -> Path:
        return self._stem.with_name(f".{self._stem.name}{suffix}.aside")

    def _save(self, suffix: str, array: npt.NDArray[Any]) -> None:
        with self._aside(suffix).open("wb") as file:  # an open file: np.save adds .npy to a path that lacks it
            np.save(file, array, allow_pickle=False)


def write_index(folder: Path, index: Index) -> None:
    """index.json, written aside and renamed."""
    artifact.write_text(folder / "index.json", index.model_dump_json(indent=1) + "\n")


def totals(sizes: Iterable[Split]) -> Split:
    made = list(sizes)
    return Split(
        tokens=sum(size.tokens for size in made),
        documents=sum(size.documents for size in made),
        bytes=sum(size.bytes for size in made),
    )


def _map_tokens(path: Path, dtype: np.dtype[Any], num_tokens: int) -> Tokens:
    try:
        found = path.stat().st_size
        if found != num_tokens * dtype.itemsize:
            raise _damaged(path, f"{found} bytes, index.json promises {num_tokens * dtype.itemsize}")
        if num_tokens == 0:  # an empty file cannot be mapped
            return np.empty(0, dtype)
        return np.memmap(path, dtype=dtype.newbyteorder("<"), mode="r")
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None


def _load(path: Path, length: int) -> Counts:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, str(error)) from None
    if array.shape != (length,) or array.dtype != np.int64:
        raise _damaged(path, f"{array.dtype} {array.shape}, index.json promises int64 ({length},)")
    return np.asarray(array)


def _check_offsets(path: Path, shard: Shard) -> None:
    offsets = shard.documents
    if offsets[0] != 0 or offsets[-1] != len(shard.tokens) or np.any(np.diff(offsets) < 0):
        raise _damaged(path, f"the offsets do not rise from 0 to the {len(shard.tokens)} tokens of the .bin file")


def _damaged(path: Path, cause: str) -> InputError:
    return InputError(f"{path}: damaged ({cause}); delete the tokenize folder and run again")
