"""Pieces of a text side by side are the text, whatever the tokenizer made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, normalizers
from tokenizers.models import BPE

from orfevre.data.tokenizer import Tokenizer
from orfevre.inspect.reading import Reader, shown, visible


@pytest.fixture(scope="session")
def reader(coder: Tokenizer) -> Reader:
    return Reader(coder._inner, coder.bos, None)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_pieces_side_by_side_are_the_text(reader: Reader, coder: Tokenizer, text: str) -> None:
    read = reader.read(text)
    assert "".join(read.pieces) == text
    assert read.ids == [coder.bos, *coder.encode(text)]
    assert len(read.pieces) == len(read.ids)


@given(st.text(alphabet="ab é😀", max_size=30))
def test_so_they_are_where_a_blank_is_put_before_the_text(text: str) -> None:
    vocab = {"<unk>": 0, "▁": 1, "a": 2, "b": 3} | {f"<0x{byte:02X}>": 4 + byte for byte in range(256)}
    inner = Inner(BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert "".join(Reader(inner, None, None).read(text).pieces) == text  # type: ignore[arg-type]


def test_a_character_of_several_tokens_is_told(reader: Reader) -> None:
    read = reader.read("ß")  # two bytes that the tokenizer never saw together
    lines = [shown(piece, place, read.pieces, read.has_begin) for place, piece in enumerate(read.pieces)]
    assert lines == ["<s>", "ß", "(ß, continued)"]


def test_special_tokens_written_out_stay_text(reader: Reader, coder: Tokenizer) -> None:
    assert coder.eos not in reader.read("</s>").ids


def test_a_token_alone_shows_its_bytes(reader: Reader) -> None:
    assert [reader.word(token) for token in reader.read("ß").ids[1:]] == ["\\xc3", "\\x9f"]
    assert reader.word(reader.read("e").ids[1]) == "e"


def test_signs_make_blanks_visible_and_long_pieces_short() -> None:
    assert visible(" a\n\tb\x00") == "·a↵→b\\x00"
    assert visible("forêt") == "forêt"
    assert len(visible("x" * 100)) == 24
