"""Overlap: the C kernel and its twin say the same of any bytes, and both say what a plain search over words says."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.kernels import folding, native, overlap, overlap_numpy

PIECES = [
    "Élève", "éte\u0301", "œuvre", "a", "b", "日本語", "ﬃ", "ß", "\U00020000", "😀", "\u00ad", "ไทย", "don't", "-", ".",
    "\n", "한국", "Ω", "12", "𝐀", "ǅ", "\u200b", "x" * 300,
]  # fmt: skip
BROKEN = [b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xc3"]

pieces = st.sampled_from([piece.encode() for piece in PIECES] + BROKEN)
documents = st.lists(pieces | st.binary(max_size=8), max_size=120).flatmap(
    lambda parts: st.sampled_from([b"", b" "]).map(lambda space: space.join(parts))
)
needs_kernel = pytest.mark.skipif(native.library() is None, reason="the C kernels are not built here")


def words_of(text: str) -> int:
    return len(overlap.word_hashes([text.encode()])[0])


def same(left: str, right: str) -> bool:
    hashes = [overlap.word_hashes([text.encode()])[0] for text in (left, right)]
    return np.array_equal(*hashes)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("L'ÉLÈVE studieux", "l’eleve, studieux!"), ("un cœur, une sœur", "un coeur une soeur"),
        ("naïve", "nai\u0308ve"),
        ("Straße", "STRASSE"), ("office", "oﬃce"), ("soft\u00adhyphen", "softhyphen"), ("ＡＢＣ １２", "abc 12"),
        ("日本", "日 本"), ("Æther Øre", "aether ore"), ("x²", "x2"),
    ],
)  # fmt: skip
def test_spellings_that_are_the_same_words(left: str, right: str) -> None:
    assert same(left, right)


@pytest.mark.parametrize(("left", "right"), [("ab c", "a bc"), ("chat", "chats"), ("1 234", "1234"), ("пар", "nap")])
def test_words_that_differ(left: str, right: str) -> None:
    assert not same(left, right)


def test_symbols_are_no_words() -> None:
    assert [words_of(text) for text in ("", " \n\t", "«—»…!", "😀", "\u0301", "\ufffd")] == [0] * 6
    assert words_of("un, deux; trois") == 3


def test_the_table_ends_words_at_every_ascii_symbol_and_never_overfills_an_entry() -> None:
    table = folding.table()
    for point in range(128):
        assert bool(table[point]) == chr(point).isalnum()
    counts = (table >> np.uint64(folding.COUNT_SHIFT)) & np.uint64(3)
    letters = [point for point in range(0x3000) if unicodedata.category(chr(point)) in ("Lu", "Ll", "Nd")]
    assert (counts[letters] >= 1).all()


@needs_kernel
@settings(max_examples=150, deadline=None)
@given(st.lists(documents, max_size=4))
def test_kernel_and_twin_find_the_same(texts: list[bytes]) -> None:
    words, counts = overlap.word_hashes(texts)
    twins = [overlap_numpy.word_hashes(text) for text in texts]
    assert counts.tolist() == [len(twin) for twin in twins]
    assert np.array_equal(words, np.concatenate([np.zeros(0, np.uint64), *twins]))
    lengths = (2, 3, 5)
    grams = [overlap_numpy.gram_hashes(twin, length)[::3] for twin in twins for length in lengths]
    heads = [overlap_numpy.gram_hashes(twin, 2) for twin in twins]
    none = np.zeros(0, np.uint64)
    index = overlap.index(np.concatenate([none, *grams]), np.concatenate([none, *heads]), lengths, 2)
    found, expected = overlap.find(texts, index), overlap_numpy.overlap(texts, index.grams, lengths)
    assert sorted(zip(*map(np.ndarray.tolist, found), strict=True)) == sorted(
        zip(*map(np.ndarray.tolist, expected), strict=True)
    )


@needs_kernel
def test_grams_are_found_wherever_they_stand_in_a_long_text() -> None:
    rng = np.random.default_rng(1)
    long = [f"w{number}" for number in rng.integers(0, 10**9, 9_000)]
    hashes, _ = overlap.word_hashes([" ".join(long).encode()])
    wide, short = overlap_numpy.gram_hashes(hashes, 13), overlap_numpy.gram_hashes(hashes, 9)
    heads = overlap_numpy.gram_hashes(hashes, 8)
    index = overlap.index(np.concatenate((wide, short)), heads, (9, 13), 8)
    _, grams = overlap.find([" ".join(long).encode()], index)
    assert sorted(index.grams[grams].tolist()) == sorted([*wide.tolist(), *short.tolist()])


def test_more_hits_than_expected_are_all_returned() -> None:
    text = b"again " * 70_000
    hashes, _ = overlap.word_hashes([b"again again"])
    gram = overlap_numpy.gram_hashes(hashes, 2)
    documents, grams = overlap.find([b"", text], overlap.index(gram, gram, (2,), 2))
    assert len(grams) == 69_999 and set(documents.tolist()) == {1}


def test_an_empty_index_finds_nothing() -> None:
    none = np.zeros(0, np.uint64)
    assert [len(part) for part in overlap.find([b"a b c"], overlap.index(none, none, (), 8))] == [0, 0]
