"""What we write, a reader that shares no code with the writer reads back."""

import struct
from pathlib import Path

import numpy as np
import pytest

from orfevre import cli
from orfevre.data import megatron, shards
from orfevre.errors import InputError

DOCUMENTS = {"prose": [[0, 5, 6, 7, 1], [0, 1], [0, 65_000, 1]], "code": [[0, 9, 1]]}


def read(prefix: Path) -> list[list[int]]:
    """The format as its users read it, field after field."""
    raw = prefix.with_suffix(".idx").read_bytes()
    assert raw[:9] == b"MMIDIDX\x00\x00"
    version, code, num_sequences, num_entries = struct.unpack_from("<QBQQ", raw, 9)
    assert version == 1
    dtype = {4: np.int32, 8: np.uint16}[code]
    place = 9 + 8 + 1 + 8 + 8
    lengths = np.frombuffer(raw, np.int32, num_sequences, place)
    pointers = np.frombuffer(raw, np.int64, num_sequences, place + 4 * num_sequences)
    documents = np.frombuffer(raw, np.int64, num_entries, place + 12 * num_sequences)
    assert len(raw) == place + 12 * num_sequences + 8 * num_entries
    assert documents.tolist() == list(range(num_sequences + 1))
    tokens = prefix.with_suffix(".bin").read_bytes()
    return [
        np.frombuffer(tokens, dtype, length, pointer).tolist()
        for length, pointer in zip(lengths.tolist(), pointers.tolist(), strict=True)
    ]


def write(folder: Path, vocab_size: int) -> None:
    dtype = shards.dtype_for(vocab_size)
    sources = {}
    for source, written in DOCUMENTS.items():
        place = folder / "shards" / source
        with shards.ShardWriter(place, "train", dtype) as train, shards.ShardWriter(place, "validation", dtype) as held:
            for number, tokens in enumerate(written):
                (held if number == 1 else train).add(f"{number:016x}", tokens, 3)
        sources[source] = shards.SourceIndex(train=train.sizes, validation=held.sizes)
    (folder / "tokenizer.json").write_text("{}")
    index = shards.Index(vocab_size=vocab_size, dtype=dtype, bos=0, eos=1, pad=2, sources=sources)
    shards.write_index(folder, index)


@pytest.mark.parametrize("vocab_size", [65_536, 131_072])
def test_every_document_is_read_back(tmp_path: Path, vocab_size: int) -> None:
    write(tmp_path / "tokenize", vocab_size)
    written = megatron.export(tmp_path / "tokenize", tmp_path / "out/shards")
    assert written == {"prose-train": 8, "prose-validation": 2, "code-train": 3}
    assert read(tmp_path / "out/shards/prose-train") == [DOCUMENTS["prose"][0], DOCUMENTS["prose"][2]]
    assert read(tmp_path / "out/shards/prose-validation") == [DOCUMENTS["prose"][1]]
    assert read(tmp_path / "out/shards/code-train") == DOCUMENTS["code"]
    made = {path.name for path in (tmp_path / "out/shards").iterdir()}
    assert made == {f"{name}{end}" for name in written for end in (".bin", ".idx")} | {"tokenizer.json"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shards"]


def test_nothing_is_written_over_nor_left_half_done(tmp_path: Path) -> None:
    write(tmp_path / "tokenize", 300)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="is there already"):
        megatron.export(tmp_path / "tokenize", tmp_path / "there")
    (tmp_path / "tokenize/shards/code/train.bin").write_bytes(b"half")
    with pytest.raises(InputError, match=r"code/train\.bin: damaged"):
        megatron.export(tmp_path / "tokenize", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_document_too_long_for_the_layout_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "tokenize", 65_536)
    monkeypatch.setattr(megatron, "LONGEST", 4)
    with pytest.raises(InputError, match="document 0000000000000000 of prose has 5 tokens"):
        megatron.export(tmp_path / "tokenize", tmp_path / "out")


def test_a_run_without_shards_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(tmp_path), str(tmp_path / "out"), "--to", "megatron"]) == 2
    assert "neither a recipe" in capsys.readouterr().err
