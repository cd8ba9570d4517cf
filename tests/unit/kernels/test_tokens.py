"""The C kernel and its NumPy twin agree with plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.kernels import native, tokens

TEXTS = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8")), st.text(" \t\nab é文\u3000", max_size=40)), max_size=8
)
DOCUMENTS = st.lists(st.lists(st.integers(0, 70_000), max_size=20), max_size=8)


@pytest.fixture(params=["C", "NumPy"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens._library.cache_clear()
    if request.param == "NumPy":
        monkeypatch.setattr(native, "library", lambda: None)
    elif tokens._library() is None:
        pytest.skip("the C kernels are not built")


@pytest.fixture(autouse=True, scope="module")
def _forget() -> None:  # type: ignore[misc]
    yield
    tokens._library.cache_clear()


def flat(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([number for document in documents for number in document], np.uint32)
    return ids, np.cumsum([0, *map(len, documents)])


def check_counts(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    joined = np.frombuffer(b"xx" + b"".join(encoded) + b"yy", np.uint8)
    chars, words = tokens.count_text(joined, 2 + np.cumsum([0, *map(len, encoded)]))
    assert chars.tolist() == [len(text) for text in texts]
    spaces = bytes(range(0x21))
    parted = [text.translate(bytes.maketrans(spaces, b" " * len(spaces))).split(b" ") for text in encoded]
    assert words.tolist() == [sum(1 for word in each if word) for each in parted]


@given(texts=TEXTS)
def _count(texts: list[str]) -> None:
    check_counts(texts)


@given(documents=DOCUMENTS, begin=st.integers(0, 9), end=st.integers(0, 9))
def _frame(documents: list[list[int]], begin: int, end: int) -> None:
    ids, offsets = flat(documents)
    expected = [number for document in documents for number in (begin, *document, end)]
    assert tokens.frame(ids, offsets, begin, end, "uint32").tolist() == expected
    if max(expected, default=0) < 2**16:
        made = tokens.frame(ids, offsets, begin, end, "uint16")
        assert made.tolist() == expected and made.dtype == np.dtype("<u2")
    else:
        with pytest.raises(OverflowError, match="does not fit uint16"):
            tokens.frame(ids, offsets, begin, end, "uint16")


@given(documents=DOCUMENTS, sizes=st.lists(st.integers(0, 300), max_size=50))
def _spelled(documents: list[list[int]], sizes: list[int]) -> None:
    ids, offsets = flat([[number % 60 for number in document] for document in documents])
    made = tokens.spelled_bytes(ids, offsets, np.array(sizes, np.uint16))
    table = dict(enumerate(sizes))
    assert made.tolist() == [sum(table.get(number % 60, 0) for number in document) for document in documents]


def test_characters_and_words_are_counted_as_python_counts_them(kernel: None) -> None:
    _count()


def test_documents_are_set_between_begin_and_end(kernel: None) -> None:
    _frame()


def test_spelled_bytes_are_the_sums_of_the_tokens_sizes(kernel: None) -> None:
    _spelled()


@pytest.mark.parametrize("length", range(18))
def test_every_byte_counts_at_every_place_of_a_block(kernel: None, length: int) -> None:
    for byte in (0x00, 0x20, 0x21, 0x7F):
        check_counts(["a" * length + chr(byte) + "b" * 9])
    check_counts(["é" * length, " " * length, "文 " * length])


def test_bytes_that_are_no_utf8_are_tolerated(kernel: None) -> None:
    every = np.arange(256, dtype=np.uint8)
    chars, words = tokens.count_text(every, np.array([0, 256]))
    assert (chars.tolist(), words.tolist()) == ([192], [1])


@pytest.mark.parametrize("offsets", [[], [1, 0], [0, 5], [-1, 2]])
def test_offsets_outside_the_values_are_refused(kernel: None, offsets: list[int]) -> None:
    with pytest.raises(AssertionError):
        tokens.frame(np.zeros(4, np.uint32), np.array(offsets, np.int64), 0, 1, "uint16")
