"""`orfevre chat`: settings, formats and refusals, and how answers end. Turns: test_conversation.py."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from orfevre import cli
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.sampling import Sampling
from orfevre.serve.conversation import Conversation
from orfevre.serve.speaker import Coder
from orfevre.serve.template import ChatTemplate, PlainTemplate
from orfevre.weights.opened import open_weights

GREEDY = Sampling(tokens=8, temperature=0)
MARKED = (
    "{{ bos_token }}{% for m in messages %}[{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)


class Watched(TorchDecoder):
    """Keeps the sizes of what it is given, and what each slot was given."""

    def __init__(self, folder: Path, num_slots: int = 2) -> None:
        super().__init__(open_weights(folder).load(), num_slots)
        self.prefilled: list[int] = []

    def prefill(self, slot: int, ids: Sequence[int]) -> torch.Tensor:
        self.prefilled.append(len(ids))
        return super().prefill(slot, ids)


@pytest.fixture
def coder(folder: Path) -> Coder:
    return Coder(open_weights(folder))


def test_a_stop_string_ends_the_answer_and_the_chat_goes_on(folder: Path, coder: Coder) -> None:
    text = "".join(Conversation(Watched(folder), coder, PlainTemplate("<s>"), GREEDY).ask("the cat"))
    stop = text[3:5]
    talk = Conversation(Watched(folder), coder, PlainTemplate("<s>"), Sampling(tokens=8, temperature=0, stop=(stop,)))
    assert "".join(talk.ask("the cat")) == text[: text.index(stop)]
    assert talk.ending is not None and talk.ending.reason == "stop"
    assert stop not in "".join(talk.ask("the dog"))


def test_an_answer_that_is_broken_off_stays_in_the_conversation(folder: Path, coder: Coder) -> None:
    talk = Conversation(Watched(folder), coder, PlainTemplate("<s>"), GREEDY)
    whole = "".join(talk.ask("the cat"))
    talk.reset()
    pieces = talk.ask("the cat")
    begun = next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert talk.ending is not None and talk.ending.reason == "cancelled"
    assert whole.startswith(begun) and whole.strip().startswith(talk.messages[-1]["content"])
    assert "".join(talk.ask("the dog")), "and the chat goes on"


def test_a_models_own_format_ends_answers_with_its_end_token(folder: Path, coder: Coder) -> None:
    form = ChatTemplate(folder, MARKED, {"bos_token": "<s>", "eos_token": "</s>"})
    talk = Conversation(Watched(folder), coder, form, Sampling(tokens=60, temperature=1.0, seed=1))
    reused = []
    for _ in range(4):
        "".join(talk.ask("the"))
        assert talk.ending is not None
        reused.append(talk.ending.reused_tokens)
    assert reused[0] == 0 and reused == sorted(reused)


def chat(monkeypatch: pytest.MonkeyPatch, said: str, *arguments: object) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    return cli.main(["chat", *map(str, arguments)])


def test_over_a_pipe(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "talk.json"
    said = (
        f"the cat\n\n/nothing\n/help\n/save {file}\n/save\n/save {tmp_path}/no/where\n/reset\nthe cat\n/quit\nnever\n"
    )
    options = ("--temperature", 0, "--tokens", 8)
    assert chat(monkeypatch, said, folder, *options) == 0
    shown = capsys.readouterr()
    saved = json.loads(file.read_text(encoding="utf-8"))
    assert [each["role"] for each in saved] == ["user", "assistant"]
    assert saved[0]["content"] == "the cat"
    once = shown.out[: len(shown.out) // 2]
    assert shown.out == once * 2, "after a reset the same question has the same answer"
    assert once.strip() == saved[1]["content"]
    for words in ("/nothing: no such command", "/reset ", "written to", "give a file", "cannot be written"):
        assert words in shown.err
    assert shown.err.count("tokens/s") == 2


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("more", [[], ["--offload", "0.001"]], ids=["held", "offloaded"])
def test_every_format_and_the_offload_answer(
    weights: str, more: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, "the cat\n", folder, "--weights", weights, "--tokens", 4, *more) == 0
    assert "4 tokens" in (shown := capsys.readouterr()).err and shown.out.endswith("\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--weights", "int3"], "--weights int3: give one of float32, bfloat16, int8, int4"),
        (["--threads", "-1"], "--threads -1"),
        (["--offload", "0"], "--offload 0"),
        (["--offload", "nan"], "--offload nan"),
        (["--min-p", "2"], "--min-p 2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_settings_out_of_range_are_named(
    options: list[str],
    words: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert chat(monkeypatch, "the cat\n", folder, *options) == 2
    assert words in capsys.readouterr().err


def test_folders_that_cannot_talk_are_named(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def err(path: Path) -> str:
        assert chat(monkeypatch, "the cat\n", path) == 2
        return capsys.readouterr().err

    assert "no model here" in err(tmp_path)
    mute = make_folder()
    (mute / "tokenizer.json").unlink()
    assert "no tokenizer.json" in err(mute)

    def spoil(model: Any) -> None:
        model.blocks[0].moe.w13[1, 2, 3] = torch.nan

    assert "not finite" in err(make_folder(spoil))
