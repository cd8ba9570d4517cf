"""`orfevre generate`: what the model says and no more on stdout, whatever the company, the slots or the format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from orfevre import cli
from orfevre.data import tokenizer
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.generate import generate
from orfevre.inference.sampling import Sampling
from orfevre.weights.opened import open_weights

PROMPTS = ["the cat", "the cat sat on", "été", "on the mat and", "the dog"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.main(["generate", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.main(["generate", *map(str, arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "Traceback" not in shown.err
    return shown.err


def lines(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(capsys, *arguments, "--json").splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS), encoding="utf-8")
    return path


def hold_nan(model: Any) -> None:
    model.blocks[1].moe.w2[2, 3, 4] = torch.nan


def likeliest(folder: Path, prompt: str, tokens: int) -> str:
    """By torch alone, from the same files."""
    coder = tokenizer.load(folder / "tokenizer.json")
    sampling = Sampling(tokens=tokens, temperature=0, ends=(coder.eos,))
    decoder = TorchDecoder(open_weights(folder).load())
    return coder.decode(list(generate(decoder, [coder.bos, *coder.encode(prompt)], sampling)))


def test_stdout_is_the_prompt_and_what_the_model_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, folder, "the cat", "--tokens", 12, "--temperature", 0)
    assert shown == "the cat" + likeliest(folder, "the cat", 12) + "\n"


def test_the_seed_decides(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (run(capsys, folder, "the", "--tokens", 20, "--seed", seed) for seed in (1, 1, 2))
    assert first == again != other


def test_many_prompts_get_what_each_gets_alone_in_their_order(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Drawn, not only the likeliest; float32, where a product's rows are the same in any company."""
    together = lines(capsys, folder, "--file", file, "--tokens", 15, "--seed", 4, "--slots", 3)
    assert [each["prompt"] for each in together] == PROMPTS
    for number, each in enumerate(together):
        assert [each["text"]] == [
            alone["text"] for alone in lines(capsys, folder, PROMPTS[number], "--tokens", 15, "--seed", 4 + number)
        ]
        assert 1 <= each["tokens"] <= 15 and each["ended_by"] in ("tokens", "end")
        assert 0 <= each["reused_tokens"] < each["prompt_tokens"]
    assert sum(each["reused_tokens"] for each in together) > 0, "they all begin with <s>"
    assert together == lines(capsys, folder, "--file", file, "--tokens", 15, "--seed", 4, "--slots", 3)


def test_texts_of_many_prompts_are_a_paragraph_each(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (folder, "--file", file, "--tokens", 6, "--temperature", 0)
    wanted = [each["prompt"] + each["text"] for each in lines(capsys, *arguments)]
    assert run(capsys, *arguments) == "\n\n".join(wanted) + "\n"


def test_a_stop_string_ends_the_text_before_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = likeliest(folder, "the cat", 20)
    stop = text[5:9]
    asked = (folder, "the cat", "--tokens", 20, "--temperature", 0, "--stop", stop, "--stop", "never\tthere")
    (found,) = lines(capsys, *asked)
    assert found["text"] == text[: text.index(stop)]
    assert found["ended_by"] == "stop"


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8", "int4"])
def test_every_format_writes(weights: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (folder, "the cat", "--tokens", 5, "--weights", weights, "--threads", 1)
    (found,) = lines(capsys, *asked)
    assert found["tokens"] == 5 and [found] == lines(capsys, *asked)


def test_a_model_that_is_offloaded_says_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = run(capsys, folder, "the cat", "--tokens", 8, "--temperature", 0)
    assert cli.main(["generate", str(folder), "the cat", "--tokens=8", "--temperature=0", "--offload=0.0002"]) == 0
    shown = capsys.readouterr()
    assert shown.out == whole and "hits" in shown.err


def test_a_full_context_ends_a_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coder = tokenizer.load(folder / "tokenizer.json")
    (found,) = lines(capsys, folder, "the cat", "--tokens", 1000, "--temperature", 0)
    assert found["ended_by"] in ("context", "end")
    assert found["tokens"] + 1 + len(coder.encode("the cat")) <= 128


def test_prompts_that_cannot_be_continued_are_named_before_weights_are_read(
    make_folder: Callable[..., Path], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(hold_nan)
    file.write_text("fine\n" + "the cat " * 200)
    message = refused(capsys, folder, "--file", file)
    assert f"{file} line 2" in message and "takes 1 to 127" in message
    assert "the prompt is empty" in refused(capsys, folder, "")
    assert "--slots 0" in refused(capsys, folder, "a", "--slots", 0)


def test_weights_that_hold_nan_are_named(make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, make_folder(hold_nan), "the cat")
    assert "blocks.1.moe.w2" in message and "not finite" in message


def test_a_folder_without_its_tokenizer_is_named(
    make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder()
    (folder / "tokenizer.json").unlink()
    assert "tokenizer" in refused(capsys, folder, "the cat")


def test_a_tokenizer_of_another_vocabulary_is_named(
    make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder()
    tokenizer.train([["other words entirely, of which there are many more " * 9] * 9], 400).save(
        folder / "tokenizer.json"
    )
    coder = tokenizer.load(folder / "tokenizer.json")
    assert coder.vocab_size > open_weights(folder).vocab_size, "or this tests nothing"
    assert "take both of one release" in refused(capsys, folder, "the cat")


def test_options_of_newer_models_are_served(
    make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(sliding_window=6, qk_norm=True, shared_experts=1, router="sigmoid", tie_embeddings=True)
    shown = run(capsys, folder, "the cat", "--tokens", 12, "--temperature", 0)
    assert shown == "the cat" + likeliest(folder, "the cat", 12) + "\n"
