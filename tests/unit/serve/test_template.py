"""A chat template says what transformers' says; what it may not do it cannot, and faults are named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from orfevre.errors import InputError
from orfevre.serve import template
from orfevre.serve.speaker import Coder
from orfevre.weights.opened import open_weights

MISTRAL = """\
{%- if messages[0]["role"] == "system" %}
  {%- set system = messages[0]["content"] %}{%- set rest = messages[1:] %}
{%- else %}{%- set rest = messages %}{%- endif %}
{{- bos_token }}
{%- for message in rest %}
  {%- if (message["role"] == "user") != (loop.index0 % 2 == 0) %}{{ raise_exception("roles must alternate") }}{%- endif %}
  {%- if message["role"] == "user" %}
    {%- if loop.first and system is defined %}{{ "[INST] " + system + "\n\n" + message["content"] + "[/INST]" }}
    {%- else %}{{ "[INST] " + message["content"] + "[/INST]" }}{%- endif %}
  {%- else %}{{ " " + message["content"]|trim + eos_token }}{%- endif %}
{%- endfor %}
"""
CHATML = (
    "{% for m in messages %}\n{% if m.role == 'nobody' %}{% continue %}{% endif %}<|{{ m.role }}|>\n{{ m.content }}"
    "\n{% endfor %}\n{% if add_generation_prompt %}<|assistant|>{% endif %}{{ messages[0] | tojson }}"
)
TALK = [
    {"role": "user", "content": "Été <b>?</b>"},
    {"role": "assistant", "content": " Oui. "},
    {"role": "user", "content": "the cat\n"},
]


def load(folder: Path) -> template.Template:
    return template.load(folder, Coder(open_weights(folder)))


@pytest.fixture
def folder_with(make_folder: Callable[..., Path]) -> Callable[[str, Any], Path]:
    def make(name: str, content: Any) -> Path:
        folder = make_folder()
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return folder

    return make


@pytest.mark.parametrize("source", [MISTRAL, CHATML], ids=["mistral", "chatml"])
@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]], ids=["", "system"])
def test_the_text_is_that_of_transformers(
    source: str, system: list[Any], folder_with: Callable[[str, Any], Path]
) -> None:
    folder = folder_with("chat_template.jinja", source)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token="<s>", eos_token="</s>"
    )
    messages = [*system, *TALK]
    wanted = theirs.apply_chat_template(messages, chat_template=source, tokenize=False, add_generation_prompt=True)
    assert load(folder).text(messages) == wanted


@pytest.mark.parametrize(
    "config",
    [
        {"bos_token": {"content": "<s>"}, "chat_template": "{{ bos_token }}{{ messages[0].content }}"},
        {"chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "<s>{{ messages[0].content }}"}]},
    ],
)  # fmt: skip
def test_templates_of_tokenizer_config_json(config: Any, folder_with: Callable[[str, Any], Path]) -> None:
    assert load(folder_with("tokenizer_config.json", config)).text(TALK[:1]) == "<s>Été <b>?</b>"


def test_a_file_of_its_own_comes_first(folder_with: Callable[[str, Any], Path]) -> None:
    folder = folder_with("tokenizer_config.json", {"chat_template": "old"})
    (folder / "chat_template.jinja").write_text("new")
    assert load(folder).text(TALK) == "new"


def test_the_plain_format_is_the_documented_one(folder: Path) -> None:
    said = load(folder).text([{"role": "system", "content": "Be brief."}, *TALK])
    assert said == "<s>Be brief.\n\nUser: Été <b>?</b>\nAssistant:  Oui. \nUser: the cat\n\nAssistant:"


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__ }}",
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
    with pytest.raises(InputError, match=r"chat_template.jinja: the chat template does not take this conversation"):
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
