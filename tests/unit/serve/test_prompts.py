"""Prompts come in whole and in order, and what is not one is named by its line."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from orfevre.errors import UserError
from orfevre.serve.prompts import Prompt, given


def test_a_prompt_of_the_command_line_is_taken_as_it_is() -> None:
    assert given("  a\nb ", None) == [Prompt("  a\nb ")]


@for_all(lines=st.lists(st.text(st.sampled_from("aé😀 \t\u2028\x85\x0b"), max_size=6), max_size=6))
def test_a_line_a_prompt_and_only_a_line_feed_ends_a_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    file = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    file.write_bytes("\n".join(["begin", *lines]).encode())
    wanted = [(line, f"{file} line {number}") for number, line in enumerate(["begin", *lines], 1) if line.strip()]
    assert [(prompt.text, prompt.place) for prompt in given(None, str(file))] == wanted


def test_files_of_other_systems_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert [prompt.text for prompt in given(None, str(tmp_path / "p.txt"))] == ["one", "two"]


def test_a_jsonl_prompt_may_hold_lines(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "one\\ntwo", "other": 1}\n\n{"prompt": "three"}\n')
    assert [prompt.text for prompt in given(None, str(tmp_path / "p.jsonl"))] == ["one\ntwo", "three"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("été\nb".encode())))
    assert given(None, "-") == [Prompt("été", "stdin line 1"), Prompt("b", "stdin line 2")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.txt", b"\n \n", "no prompt in it"),
        ("p.txt", b"ab\xff", "byte 2 is not UTF-8"),
        ("p.jsonl", b'{"prompt": "a"}\n{"prompt": ', "line 2: not JSON"),
        ("p.jsonl", b'{"text": "a"}', 'line 1: no text under "prompt"'),
        ("p.jsonl", b'{"prompt": 3}', 'line 1: no text under "prompt"'),
        ("p.jsonl", b'"a"', 'line 1: no text under "prompt"'),
        ("p.jsonl", b'{"prompt": "\\ud800"}', "line 1 is not UTF-8"),
    ],
)
def test_what_is_no_prompt_is_named(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        given(None, str(tmp_path / name))


@pytest.mark.parametrize(
    ("prompt", "file", "words"),
    [
        (None, None, "one of the two"),
        ("a", "b", "one of the two"),
        (None, "/nowhere/p.txt", "cannot be read"),
        ("\udcff", None, "not UTF-8"),
    ],
)
def test_calls_that_cannot_be_answered(prompt: str | None, file: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        given(prompt, file)
