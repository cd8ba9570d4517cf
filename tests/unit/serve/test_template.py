"""A conversation's text is what transformers makes of the same folder; a template can do no harm."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from orfevre.errors import InputError
from orfevre.serve import template
from orfevre.serve.speaker import Coder
from orfevre.serve.template import Message
from orfevre.weights.opened import open_weights

INSTRUCTIONS = """\
{{ bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' and not loop.first %}
        {{- raise_exception('a system message comes first') }}
    {%- elif message['role'] == 'user' %}
        {{- ' [INST] ' + message['content'] | trim + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""
TURNS = """\
{% for m in messages %}{% if loop.index > 9 %}{% break %}{% endif %}
    {% if m.role == 'user' %}
<|{{ m.role }}|> {{ m.content | tojson }}
    {% else %}
{{ m.content }}{{ eos_token }}
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}
"""
TALK: list[Message] = [
    {"role": "user", "content": " the cat\nété <b> "},
    {"role": "assistant", "content": "sat"},
    {"role": "user", "content": "on {{ 1 + 1 }} </s>"},
]


@pytest.fixture
def place(tmp_path: Path, folder: Path) -> Path:
    """A folder of its own for template files, with the model's tokenizer."""
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    return tmp_path


@pytest.fixture
def coder(folder: Path) -> Coder:
    return Coder(open_weights(folder))


@pytest.mark.parametrize("source", [INSTRUCTIONS, TURNS], ids=["instructions", "turns"])
@pytest.mark.parametrize("where", ["file", "config", "named"])
def test_the_text_is_transformers(source: str, where: str, place: Path, coder: Coder) -> None:
    config: dict[str, Any] = {"bos_token": {"content": "<s>"}, "eos_token": "</s>"}
    if where == "file":
        (place / "chat_template.jinja").write_text(source)
        config["chat_template"] = "not this one"
    else:
        named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": source}]
        config["chat_template"] = source if where == "config" else named
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    oracle = PreTrainedTokenizerFast(
        tokenizer_file=str(place / "tokenizer.json"), bos_token="<s>", eos_token="</s>", chat_template=source
    )
    for talk in (TALK, TALK[:1], [{"role": "system", "content": "be brief"}, *TALK]):
        wanted = oracle.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        assert template.load(place, coder).text(talk) == wanted


def test_special_tokens_come_from_the_tokenizer_where_no_file_says(place: Path, coder: Coder) -> None:
    (place / "chat_template.jinja").write_text("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}")
    assert template.load(place, coder).text(TALK[:1]) == "<s> the cat\nété <b> </s>"


def test_without_a_template_the_plain_format(place: Path, coder: Coder) -> None:
    plain = template.load(place, coder)
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    assert plain.text(talk) == "<s>Be brief.\n\nUser: Who?\nAssistant:"
    longer = [*talk, {"role": "assistant", "content": "I."}, {"role": "user", "content": "So?"}]
    assert plain.text(longer) == "<s>Be brief.\n\nUser: Who?\nAssistant: I.\nUser: So?\nAssistant:"
    assert plain.text(longer).startswith(plain.text(talk)), "what comes later changes nothing before it"


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append({}) }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content + 1 }}",
    ],
)
def test_a_template_that_reaches_out_or_refuses_is_named(source: str, place: Path, coder: Coder) -> None:
    (place / "chat_template.jinja").write_text(source)
    with pytest.raises(InputError, match=r"chat_template.jinja: the chat template refuses this conversation"):
        template.load(place, coder).text(TALK)


def test_a_refused_system_message_has_its_remedy(place: Path, coder: Coder) -> None:
    (place / "chat_template.jinja").write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('roles must alternate') }}{% endif %}"
    )
    with pytest.raises(InputError, match=r"roles must alternate.*try without --system"):
        template.load(place, coder).text([{"role": "system", "content": "x"}, *TALK])


@pytest.mark.parametrize(
    ("config", "words"),
    [({"chat_template": "{% if"}, "not a chat template"), ({"chat_template": 7}, "is no text")],
    ids=["broken", "a number"],
)
def test_a_broken_template_is_named(config: dict[str, Any], words: str, place: Path, coder: Coder) -> None:
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=words):
        template.load(place, coder)


def test_ids_of_a_marked_text_have_the_special_tokens(
    coder: Coder, make_folder: Callable[..., Path]
) -> None:  # fmt: skip
    assert coder.encode_marked("<s>the</s>") == [coder.bos, *coder.plain.encode("the").ids, *coder.ends]
    assert coder.decode(coder.encode("a </s> b")) == "a </s> b", "in a prompt they are plain text"
