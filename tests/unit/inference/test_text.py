"""Pieces put together are the text, none ends inside a character, and no part of a stop string gets out."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE

from orfevre.inference.text import BROKEN, Writer, overlap


def of_bytes(ids: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(ids).decode("utf-8", errors="replace")


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the stop string that is complete first; of two that are at once, the longer."""
    for end in range(len(text) + 1):
        if found := [each for each in stop if text[:end].endswith(each)]:
            return text[: end - max(map(len, found))]
    return text


def written(ids: Sequence[int], prompt: Sequence[int] = (), stop: Sequence[str] = ()) -> list[str]:
    writer, pieces = Writer(of_bytes, prompt, stop), []
    for token in ids:
        pieces.append(writer.add(token))
        if writer.stopped:
            return pieces
    return [*pieces, writer.finish()]


TEXTS = st.text(st.sampled_from("abcé€😀 \u0301"), max_size=20)
STOPS = st.lists(st.text(st.sampled_from("ab€é"), min_size=1, max_size=4), max_size=3)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, prompt=TEXTS, stop=STOPS)
def test_text_comes_out_whole_up_to_the_first_stop_string(text: str, prompt: str, stop: list[str]) -> None:
    pieces = written(text.encode(), prompt.encode(), stop)
    assert "".join(pieces) == cut(text, stop)
    assert not any(BROKEN in piece for piece in pieces)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, stop=STOPS)
def test_at_no_time_is_more_out_than_the_end_result(text: str, stop: list[str]) -> None:
    so_far = ""
    for piece in written(text.encode(), (), stop):
        so_far += piece
        assert cut(text, stop).startswith(so_far)


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 255), max_size=20))
def test_bytes_that_are_no_text_are_marked_and_nothing_is_lost(ids: list[int]) -> None:
    assert "".join(written(ids)) == of_bytes(ids)


def test_text_is_not_held_back_longer_than_needed() -> None:
    assert written("a€b".encode()) == ["a", "", "", "€", "b", ""]
    assert written(b"abac", stop=["abab"]) == ["", "", "", "abac", ""]


@given(text=st.text("ab", max_size=8), stop=st.text("ab", min_size=1, max_size=5))
def test_overlap_is_the_longest(text: str, stop: str) -> None:
    sizes = [size for size in range(len(stop)) if text.endswith(stop[:size])]
    assert overlap(text, stop) == max(sizes)


def test_the_space_that_a_tokenizer_leaves_out_at_the_start_is_kept_between_words() -> None:
    vocab = {"<unk>": 0, "▁to": 1, "▁be": 2, "<0xE2>": 3, "<0x82>": 4, "<0xAC>": 5}
    inner = Tokenizer(BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    writer = Writer(inner.decode, [1])
    assert [writer.add(token) for token in (2, 3, 4, 5, 3, 4, 5, 1)] == [" be", "", "", "€", "", "", "€", " to"]


@pytest.mark.parametrize("stop", [["b"], ["b", "ab"], ["bx", "abc"]])
def test_the_first_stop_string_to_be_complete_counts(stop: list[str]) -> None:
    assert "".join(written(b"xabcd", stop=stop)) == cut("xabcd", stop)
