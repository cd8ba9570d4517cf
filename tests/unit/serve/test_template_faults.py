"""What a template may not do it cannot, and every fault of one is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orfevre.errors import InputError
from orfevre.serve import template
from orfevre.serve.speaker import Coder
from orfevre.weights.opened import open_weights

TALK = [{"role": "user", "content": "the cat"}]


def load(folder: Path) -> template.Template:
    return template.load(folder, Coder(open_weights(folder)))


@pytest.fixture
def folder_with(make_folder: Callable[..., Path]) -> Callable[[str, Any], Path]:
    def make(name: str, content: Any) -> Path:
        folder = make_folder()
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return folder

    return make


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{% set _ = messages.append(1) %}",
        "{% include '/etc/hostname' %}",
        "{{ raise_exception('no system message here') }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 1 / 0 }}",
        "{{ nobody.knows }}",
        "{% for i in range(1000000) %}{% endfor %}",
    ],
)
def test_templates_that_reach_out_or_fail_are_stopped_and_named(
    source: str, folder_with: Callable[[str, Any], Path]
) -> None:
    made = load(folder_with("chat_template.jinja", source))
    with pytest.raises(InputError, match=r"chat_template.jinja: the chat template refuses this conversation"):
        made.text(TALK)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("chat_template.jinja", "{% for %}", "not a chat template"),
        ("tokenizer_config.json", {"chat_template": 3}, "chat_template is no text"),
        ("tokenizer_config.json", "{", "tokenizer_config.json"),
    ],
)
def test_what_is_no_template_is_named(
    name: str, content: Any, words: str, folder_with: Callable[[str, Any], Path]
) -> None:
    with pytest.raises(InputError, match=words):
        load(folder_with(name, content))


def test_a_template_that_is_not_utf_8_is_named(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    (folder / "chat_template.jinja").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="not UTF-8"):
        load(folder)
