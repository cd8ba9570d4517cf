"""A conversation: what is said is what the model says to all of it, only the new is computed, the oldest goes first."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orfevre import cli
from orfevre.errors import InputError
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.generate import generate
from orfevre.inference.sampling import Sampling
from orfevre.serve import template
from orfevre.serve.conversation import Conversation
from orfevre.serve.speaker import Coder
from orfevre.weights.opened import open_weights

GREEDY = Sampling(tokens=8, temperature=0)
TEMPLATE = (
    "<s>{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}</s>{% else %}[{{ m.content }}]{% endif %}"
    "{% endfor %}"
)


def converse(
    folder: Path, sampling: Sampling = GREEDY, system: str = "", num_slots: int = 2
) -> tuple[Conversation, Coder]:
    opened = open_weights(folder)
    coder = Coder(opened)
    return Conversation(
        TorchDecoder(opened.load(), num_slots), coder, template.load(folder, coder), sampling, system
    ), coder


@pytest.fixture(params=["plain", "template"])
def talker(request: pytest.FixtureRequest, folder: Path, make_folder: Callable[..., Path]) -> Path:
    if request.param == "plain":
        return folder
    made = make_folder()
    (made / "chat_template.jinja").write_text(TEMPLATE)
    return made


def test_an_answer_is_the_models_to_the_whole_conversation(talker: Path) -> None:
    conversation, coder = converse(talker, system="cat")
    form = template.load(talker, coder)
    first = "".join(conversation.ask("the dog"))
    ids = coder.encode_marked(form.text([{"role": "system", "content": "cat"}, {"role": "user", "content": "the dog"}]))
    new = list(generate(TorchDecoder(open_weights(talker).load()), ids, GREEDY))
    assert coder.decode(new).startswith(first) and first
    assert conversation.messages[2]["role"] == "assistant"
    assert conversation.messages[2]["content"].strip() == first.strip()


def test_only_the_new_turn_is_computed(talker: Path) -> None:
    conversation, _ = converse(talker)
    held = 0
    for message in ("the cat", "sat on", "the mat"):
        for _ in conversation.ask(message):
            pass
        ending = conversation.ending
        assert ending is not None
        # the last token of an answer was written, but never taken in
        assert ending.reused_tokens >= held - 1
        held = ending.prompt_tokens + len(ending.ids)
    assert held > 20


@pytest.mark.parametrize("seed", range(6))
def test_turns_are_reused_whatever_is_said(talker: Path, seed: int) -> None:
    """Drawn at a high temperature: blanks at either end, half characters, `</s>`."""
    conversation, coder = converse(talker, Sampling(tokens=12, temperature=2.0, seed=seed))
    held = 0
    for message in ("the cat", "sat on", "the mat"):
        list(conversation.ask(message))
        ending = conversation.ending
        assert ending is not None and ending.reused_tokens >= held - 1
        # an end token was drawn, but the plain format does not write it into the next turn
        held = ending.prompt_tokens + len([token for token in ending.ids if token not in coder.ends])


def test_reset_forgets_all_but_the_system_message(folder: Path) -> None:
    conversation, _ = converse(folder, system="be brief")
    first = "".join(conversation.ask("the cat"))
    conversation.reset()
    assert conversation.messages == [{"role": "system", "content": "be brief"}]
    assert "".join(conversation.ask("the cat")) == first


def test_a_full_context_forgets_the_oldest_turns_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conversation, _ = converse(folder, system="cat")
    for number in range(12):
        said = "".join(conversation.ask(f"the cat sat on the mat and the dog {number}"))
        assert conversation.ending is not None and conversation.ending.prompt_tokens < 128
        assert (
            conversation.messages[0]["role"] == "system"
            and conversation.messages[-1]["content"].strip() == said.strip()
        )
    assert "forgotten" in capsys.readouterr().err
    assert 3 <= len(conversation.messages) < 25
    assert conversation.messages[-2]["content"].endswith(" 11")


def test_a_message_too_long_for_the_context_is_refused_and_forgotten(folder: Path) -> None:
    conversation, _ = converse(folder)
    with pytest.raises(InputError, match="does not fit the context of 128"):
        list(conversation.ask("x y z " * 200))
    assert conversation.messages == []
    assert "".join(conversation.ask("the cat"))


def test_an_answer_that_is_stopped_is_kept_as_far_as_it_went(folder: Path) -> None:
    conversation, _ = converse(folder, Sampling(tokens=60, temperature=0))
    pieces = conversation.ask("the cat")
    said = next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert conversation.ending is not None and conversation.ending.reason == "cancelled"
    assert conversation.messages[1]["content"].strip().startswith(said.strip())
    assert "".join(conversation.ask("on the mat")), "and the chat goes on"


def talk(folder: Path, typed: str, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return cli.main(["chat", str(folder), "--temperature=0", "--tokens=8", *flags])


def test_a_chat_over_a_pipe(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "talk.json"
    commands = f"/save {file}\n/nonsense\n/save\n/save {tmp_path}/no/where\n/help\n/reset\n"
    typed = f"the cat\n\nsat on\n{commands}the cat\n/quit\nlost\n"
    assert talk(folder, typed, monkeypatch, "--system", "be brief") == 0
    shown = capsys.readouterr()
    conversation, _ = converse(folder, system="be brief")
    answers = ["".join(conversation.ask(message)) for message in ("the cat", "sat on")]
    assert shown.out == f"{answers[0]}\n{answers[1]}\n{answers[0]}\n", "answers only, and none after /quit"
    assert json.loads(file.read_text()) == conversation.messages
    for words in ("tokens/s", "/nonsense: no such command", "give a file", "cannot be written", "Ctrl-C", "forgotten"):
        assert words in shown.err


def test_the_end_of_input_ends_the_chat(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert talk(folder, "the cat", monkeypatch, "--weights=int8") == 0
    assert capsys.readouterr().out.endswith("\n")


def test_a_message_that_does_not_fit_does_not_end_the_chat(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert talk(folder, "x y z " * 200 + "\nthe cat\n", monkeypatch) == 0
    shown = capsys.readouterr()
    assert "does not fit the context" in shown.err and shown.out.count("\n") >= 1


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orfevre.inference.native import NativeDecoder

    step, calls = NativeDecoder.step, []

    def interrupted(self: NativeDecoder, *arguments: object) -> object:
        logits = step(self, *arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return logits

    monkeypatch.setattr(NativeDecoder, "step", interrupted)
    assert talk(folder, "the cat\nsat on\n", monkeypatch) == 0
    shown = capsys.readouterr()
    assert "cancelled" in shown.err and len(calls) > 3
