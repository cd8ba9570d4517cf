import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orfevre.data import shards
from orfevre.errors import InputError

DOCUMENTS = [("a" * 16, [0, 5, 6, 1], 7), ("b" * 16, [0, 1], 1), ("c" * 16, [0, 9, 9, 9, 1], 12)]


def write(folder: Path, train: list[tuple[str, list[int], int]], vocab_size: int = 100) -> shards.Index:
    dtype = shards.dtype_for(vocab_size)
    with shards.ShardWriter(folder / "shards" / "prose", "train", dtype) as writer:
        for document in train:
            writer.add(*document)
    with shards.ShardWriter(folder / "shards" / "prose", "validation", dtype) as empty:
        pass
    sizes = shards.SourceIndex(train=writer.sizes, validation=empty.sizes)
    index = shards.Index(vocab_size=vocab_size, dtype=dtype, bos=0, eos=1, pad=2, sources={"prose": sizes})
    shards.write_index(folder, index)
    return index


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_what_is_written_is_read_back(tmp_path: Path, vocab_size: int, dtype: type) -> None:
    last = (("d" * 16), [0, vocab_size - 1, 1], 3)
    index = write(tmp_path, [*DOCUMENTS, last], vocab_size)
    shard = shards.open_shard(tmp_path, "prose", "train")
    assert shards.read_index(tmp_path) == index
    assert isinstance(shard.tokens, np.memmap)
    assert shard.tokens.dtype == dtype
    assert shard.ids == [name for name, _, _ in [*DOCUMENTS, last]]
    assert shard.num_bytes.tolist() == [7, 1, 12, 3]
    assert [
        shard.tokens[begin:end].tolist() for begin, end in zip(shard.documents[:-1], shard.documents[1:], strict=True)
    ] == [tokens for _, tokens, _ in [*DOCUMENTS, last]]
    assert index.sources["prose"].train == shards.Split(tokens=14, documents=4, bytes=23)


def test_the_bin_file_is_little_endian_whatever_the_machine(tmp_path: Path) -> None:
    write(tmp_path, [("a" * 16, [1, 258], 2)], 1000)
    assert (tmp_path / "shards/prose/train.bin").read_bytes() == b"\x01\x00\x02\x01"


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    shard = shards.open_shard(tmp_path, "prose", "validation")
    assert len(shard.tokens) == shard.num_documents == len(shard.ids) == 0
    assert shard.documents.tolist() == [0]


def test_appended_shards_are_the_shard_written_at_once(tmp_path: Path) -> None:
    write(tmp_path / "whole", DOCUMENTS)
    write(tmp_path / "first", DOCUMENTS[:1])
    write(tmp_path / "rest", DOCUMENTS[1:])
    with shards.ShardWriter(tmp_path / "joined", "train", "uint16") as writer:
        for part in ("first", "rest"):
            writer.append(shards.open_shard(tmp_path / part, "prose", "train"))
        writer.append(shards.open_shard(tmp_path / "rest", "prose", "validation"))
    for suffix in (".bin", ".documents.npy", ".bytes.npy", ".ids.txt"):
        whole = (tmp_path / "whole/shards/prose/train").with_suffix(suffix)
        assert (tmp_path / "joined/train").with_suffix(suffix).read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("name", ["train.bin", "train.documents.npy", "train.bytes.npy", "train.ids.txt"])
@pytest.mark.parametrize("change", ["truncated", "missing", "longer"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, change: str) -> None:
    write(tmp_path, DOCUMENTS)
    path = tmp_path / "shards/prose" / name
    if change == "truncated":
        os.truncate(path, path.stat().st_size - 17 if path.suffix == ".txt" else path.stat().st_size // 2)
    elif change == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + (b"more\n" if path.suffix == ".txt" else b"\0\0"))
        if path.suffix == ".npy":  # NumPy reads the array and leaves what follows it
            return
    with pytest.raises(InputError, match=f"shards/prose/{name}"):
        assert shards.open_shard(tmp_path, "prose", "train").ids


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("train.documents.npy", np.array([0, 7, 6, 11])),
        ("train.documents.npy", np.array([1, 4, 6, 11])),
        ("train.documents.npy", np.array([0, 4, 6, 12])),
        ("train.documents.npy", np.array([0.0, 4, 6, 11])),
        ("train.bytes.npy", np.array([7, 1, 13])),
        ("train.bytes.npy", np.array([[7, 1, 12]])),
    ],
)
def test_arrays_that_contradict_the_index_are_refused(tmp_path: Path, name: str, array: np.ndarray) -> None:
    write(tmp_path, DOCUMENTS)
    np.save(tmp_path / "shards/prose" / name, array)
    with pytest.raises(InputError, match=name):
        shards.open_shard(tmp_path, "prose", "train")


def test_a_pickle_in_place_of_an_array_is_never_opened(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENTS)
    np.save(tmp_path / "shards/prose/train.bytes.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"bytes\.npy"):
        shards.open_shard(tmp_path, "prose", "train")


def test_an_unknown_source_or_index_is_an_error_that_helps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json: not found"):
        shards.read_index(tmp_path)
    write(tmp_path, DOCUMENTS)
    with pytest.raises(InputError, match="no source 'poems'; there are prose"):
        shards.open_shard(tmp_path, "poems", "train")
    (tmp_path / "index.json").write_text('{"vocab_size": 3')
    with pytest.raises(InputError, match=r"index\.json: damaged"):
        shards.read_index(tmp_path)


def test_a_writer_that_fails_leaves_nothing_standing(tmp_path: Path) -> None:
    with pytest.raises(OverflowError, match="document b"), shards.ShardWriter(tmp_path, "train", "uint16") as writer:
        writer.add("a", [0, 1], 1)
        writer.add("b", [65_536], 1)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(st.integers(0, 65_535), max_size=20), st.integers(1, 1000)), max_size=10))
def test_nothing_is_lost_between_writing_and_reading(tmp_path: Path, made: list[tuple[list[int], int]]) -> None:
    documents = [(f"{number:016x}", tokens, size) for number, (tokens, size) in enumerate(made)]
    write(tmp_path, documents, 65_536)
    shard = shards.open_shard(tmp_path, "prose", "train")
    pieces = np.split(shard.tokens, shard.documents[1:-1]) if documents else []
    found = zip(shard.ids, (piece.tolist() for piece in pieces), shard.num_bytes.tolist(), strict=True)
    assert list(found) == documents
