"""Prompts for `orfevre generate`: one on the command line, or many of a file, each knowing where it stood."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orfevre.errors import InputError, UserError


@dataclass(frozen=True)
class Prompt:
    text: str
    place: str = "the prompt"
    """For messages: `prompts.txt line 3`."""


def given(prompt: str | None, file: str | None) -> list[Prompt]:
    """The one prompt or the file's; `-` is stdin. Raises UserError for neither and for both, InputError for a file
    that cannot be read, holds no prompt, or is not UTF-8."""
    if (prompt is None) == (file is None):
        raise UserError("generate continues a PROMPT, or each prompt of --file FILE: give one of the two")
    if prompt is not None:
        return [Prompt(_whole(prompt, "the prompt"))]
    assert file is not None
    name = "stdin" if file == "-" else file
    found = list(_of_lines(_read(file, name), name))
    if not found:
        raise InputError(f"{name}: no prompt in it; write one a line")
    return found


def _of_lines(text: str, name: str) -> Iterator[Prompt]:
    """A line a prompt; of a .jsonl file, the `prompt` of each line's object. Empty lines are passed over."""
    for number, line in enumerate(text.split("\n"), start=1):
        place = f"{name} line {number}"
        if line.strip():
            yield Prompt(_of_object(line, place) if name.endswith(".jsonl") else line.removesuffix("\r"), place)


def _of_object(line: str, place: str) -> str:
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{place}: not JSON ({error}); write {{"prompt": "..."}} a line') from None
    prompt = table.get("prompt") if isinstance(table, dict) else None
    if not isinstance(prompt, str):
        raise InputError(f'{place}: no text under "prompt"; write {{"prompt": "..."}} a line')
    return _whole(prompt, place)


def _read(file: str, name: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); give a file of prompts, one a line") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _whole(text: str, place: str) -> str:
    """A text without halves of characters, which is how bytes that are not UTF-8 come from a command line."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{place} is not UTF-8; write it in a UTF-8 terminal, or into a file of UTF-8") from None
    return text
