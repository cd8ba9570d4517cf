"""The kernel finds the places its regular expressions find, on any bytes, and lets ordinary text pass."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.kernels import personal

needs_kernel = pytest.mark.skipif(personal._library() is None, reason="the C kernels are not built here")

PARTS = [
    "a@b.fr", "@", "x.y+z@", "06", "12", " ", ".", "-", "/", "(", ")", "+", "+33", "2A", "2b", "FR76", "gb", "1", "::",
    ":", "fe80", "\u00a0", "\u202f", "é", "_", "g", "\n", "1.2.3.4", "x", "12:30:45", "GB82 WEST 1234 5698 7654 32",
    "'",
]  # fmt: skip


def places(texts: list[bytes]) -> list[list[int]]:
    return personal.find(texts).tolist()


def twin(texts: list[bytes], monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    with monkeypatch.context() as patch:
        patch.setattr(personal, "_library", lambda: None)
        return places(texts)


@needs_kernel
@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=25).map("".join), max_size=3))
def test_kernel_equals_its_expressions(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        encoded = [text.encode() for text in texts]
        assert places(encoded) == twin(encoded, patch)


@needs_kernel
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=3))
def test_kernel_equals_its_expressions_on_any_bytes(texts: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert places(texts) == twin(texts, patch)


def test_places() -> None:
    text = b"Write to jo.doe@example.fr, call +33 6 12 34 56 78."
    (_, email, start, end), (_, number, begin, stop) = places([text])
    assert (email, text[start:end]) == (personal.EMAIL, b"jo.doe@example.fr")
    assert (number, text[begin:stop]) == (personal.NUMBER, b"+33 6 12 34 56 78")


def test_ordinary_text_has_none() -> None:
    assert places([b"In 1998, at 12:30, std::vector had 3.5 or 10 000 entries (see p. 12)."]) == []


def test_more_places_than_room() -> None:
    texts = [b"a@b.fr " * 3000, b"", b"c@d.fr"]
    found = personal.find(texts)
    assert len(found) == 3001 and found[-1].tolist() == [2, personal.EMAIL, 0, 6]
