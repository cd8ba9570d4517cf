"""Headers are believed only when they hold: every truncation is found, every byte read is the library's."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from orfevre.errors import InputError
from orfevre.weights import stored

STATE = {
    "a": torch.arange(24, dtype=torch.float32).view(2, 3, 4),
    "b": torch.arange(7, dtype=torch.float16),
    "c": torch.arange(10, dtype=torch.bfloat16).view(5, 2),
    "d": torch.tensor(3.0, dtype=torch.float64),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stored") / "x.safetensors"
    save_file(STATE, made)
    return made


def test_what_the_library_reads_is_read(path: Path):
    entries = stored.index([path])
    for name, tensor in load_file(path).items():
        entry = entries[name]
        assert (entry.dtype, entry.shape) == (tensor.dtype, tuple(tensor.shape))
        read = stored.read(entry, 0, entry.num_rows)
        assert torch.equal(read.view(tensor.shape), tensor)
        assert torch.equal(stored.Mapped().rows(entry, 0, entry.num_rows), read)


@given(start=st.integers(0, 6), length=st.integers(0, 6))
def test_rows_are_those_of_the_matrix(path: Path, start: int, length: int):
    entry = stored.index([path])["a"]
    start, stop = min(start, 6), min(start + length, 6)
    expected = STATE["a"].view(6, 4)[start:stop]
    assert torch.equal(stored.read(entry, start, stop), expected)
    assert torch.equal(stored.Mapped().rows(entry, start, stop), expected)


@given(kept=st.integers(0, 10_000))
def test_a_file_cut_anywhere_is_refused(path: Path, tmp_path_factory: pytest.TempPathFactory, kept: int):
    whole = path.read_bytes()
    cut = tmp_path_factory.mktemp("cut") / "model.safetensors"
    cut.write_bytes(whole[: kept % len(whole)])
    with pytest.raises(InputError, match=r"model\.safetensors.*fetch"):
        stored.index([cut])


@given(noise=st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes):
    path = tmp_path_factory.mktemp("noise") / "model.safetensors"
    path.write_bytes(noise)
    with pytest.raises(InputError):
        stored.index([path])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}, "stored as I8"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "does not fill"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}, "does not fill"),
        ({"dtype": "F32", "shape": [1]}, "damaged entry"),
        ({"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}, "damaged entry"),
        (7, "damaged entry"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4000, 4004]}, "truncated"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, entry: object, words: str):
    text = json.dumps({"w": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(InputError, match=words):
        stored.index([path])


def test_a_name_in_two_files_is_refused(path: Path, tmp_path: Path):
    other = tmp_path / "y.safetensors"
    save_file({"a": STATE["b"]}, other)
    with pytest.raises(InputError, match=r"tensor a is in x\.safetensors too"):
        stored.index([path, other])


def test_a_tensor_askew_in_its_file_is_read_all_the_same(tmp_path: Path):
    text = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    text += b" " * (3 - len(text) % 8 if len(text) % 8 < 3 else 11 - len(text) % 8)
    path = tmp_path / "askew.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + torch.tensor([1.5, -2.0]).numpy().tobytes())
    entry = stored.index([path])["w"]
    assert entry.offset % 4
    assert stored.Mapped().rows(entry, 0, 2).tolist() == stored.read(entry, 0, 2).tolist() == [1.5, -2.0]
