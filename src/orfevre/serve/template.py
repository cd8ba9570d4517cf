"""How a conversation becomes one text: the chat template of the model's folder, or a plain format where it has none.

A template is Jinja, which is a programming language: it runs in Jinja's sandbox, which lets it read what it is given
and nothing else.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, Protocol

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from orfevre.errors import InputError
from orfevre.weights import tables

from .speaker import Coder

Message = dict[str, str]
"""`{"role": "system" | "user" | "assistant", "content": ...}`, as everybody's chat templates take it."""

_FAULTS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a template's own code may raise."""


class Template(Protocol):
    stop: tuple[str, ...]
    """Where an answer ends, beside the model's end token."""

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation with special tokens written out, up to where the answer is to begin."""
        ...


class PlainTemplate:
    """For a model that was never taught a format, such as one that has only read texts:

    <s>(system message)

    User: (message)
    Assistant: (answer)
    User: ...
    """

    stop: tuple[str, ...] = ("\nUser:",)

    def __init__(self, bos: str) -> None:
        self.bos = bos

    def text(self, messages: Sequence[Message]) -> str:
        return f"{self.bos}{''.join(map(_line, messages))}Assistant:"


def _line(message: Message) -> str:
    role, content = message["role"], message["content"]
    return f"{content}\n\n" if role == "system" else f"{role.capitalize()}: {content}\n"


class ChatTemplate:
    """A model's own."""

    stop: tuple[str, ...] = ()

    def __init__(self, path: Path, source: str, special: Mapping[str, str]) -> None:
        """`special`: bos_token, eos_token ... as text. Raises InputError for what is not a template."""
        self.path, self._special = path, special
        sandbox = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        sandbox.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
        sandbox.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
        try:
            self._template = sandbox.from_string(source)
        except jinja2.TemplateError as error:
            raise InputError(f"{path}: not a chat template ({error}); take the file from the model's release") from None

    def text(self, messages: Sequence[Message]) -> str:
        """Raises InputError where the template refuses the conversation, as many do a system message."""
        try:
            return self._template.render(messages=list(messages), add_generation_prompt=True, **self._special)
        except (jinja2.TemplateError, *_FAULTS) as error:
            hint = "; try without --system" if messages and messages[0]["role"] == "system" else ""
            raise InputError(f"{self.path}: the chat template refuses this conversation ({error}){hint}") from None


def load(folder: Path, coder: Coder) -> Template:
    """chat_template.jinja, or chat_template in tokenizer_config.json, or the plain format."""
    config = folder / "tokenizer_config.json"
    table = tables.read(config) if config.is_file() else tables.Table(config, {})
    keys = ("bos_token", "eos_token", "unk_token", "pad_token")
    special = {key: text for key in keys if (text := _token(table, key))}
    bos = coder.name(coder.bos) if coder.bos is not None else ""
    special.setdefault("bos_token", bos)
    special.setdefault("eos_token", coder.name(coder.ends[0]) if coder.ends else "")
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return ChatTemplate(path, path.read_text(encoding="utf-8"), special)
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8; take the file from the model's release") from None
    if (source := _source(table)) is not None:
        return ChatTemplate(config, source, special)
    return PlainTemplate(bos)


def _source(table: tables.Table) -> str | None:
    """One template, or of several named ones the default."""
    found: Any = table.get("chat_template")
    if isinstance(found, list):
        named = {str(each.get("name")): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    if found is not None and not isinstance(found, str):
        raise InputError(f"{table.path}: chat_template is no text; take the file from the model's release")
    return found


def _token(table: tables.Table, key: str) -> str:
    """A special token's text, given as such or as an object with its content."""
    found = table.get(key)
    return str(found.get("content", "")) if isinstance(found, dict) else str(found or "")


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
