"""What llama.cpp is told of a tokenizer: every token at its id, merges in order, where merges may not cross."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from orfevre.data import tokenizer as own
from orfevre.errors import InputError
from orfevre.weights import formats, huggingface, published, written
from orfevre.weights.convert import convert

from .conftest import SHAPE

gguf = pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")

CORPUS = [
    "the cat sat on the mat and the rat ran",
    "one two three, four five six: don't, can't",
    "été naïve 12345\n\n  x = [1]",
]


@pytest.fixture(scope="module")
def trained() -> own.Tokenizer:
    return own.train([CORPUS * 3], 400)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[int], Path]:
    """A model of zeros with so many tokens, to put a tokenizer beside."""

    def make(vocab_size: int) -> Path:
        made = tmp_path / "model"
        made.mkdir(exist_ok=True)
        shapes = formats.hugging_face(SHAPE, vocab_size).shapes
        state = {name: torch.zeros(shape) for name, shape in shapes.items()}
        written.write(made, written.in_memory(state, torch.float16))
        published.write_json(made / "config.json", huggingface.write(SHAPE, vocab_size, {}, "float16"))
        return made

    return make


def fields(path: Path) -> dict[str, object]:
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items() if name.startswith("tokenizer.ggml.")}


def test_a_runs_tokenizer(folder: Callable[[int], Path], trained: own.Tokenizer, tmp_path: Path):
    source = folder(trained.vocab_size + 5)  # ids that no text has
    trained.save(source / "tokenizer.json")
    convert(source, tmp_path / "x.gguf", "gguf")
    table = json.loads((source / "tokenizer.json").read_text())
    found = fields(tmp_path / "x.gguf")
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("gpt2", "dbrx")
    tokens, types = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert {token: tokens.index(token) for token in table["model"]["vocab"]} == table["model"]["vocab"]
    assert len(tokens) == trained.vocab_size + 5 and len(set(tokens)) == len(tokens)
    assert [token for token, kind in zip(tokens, types, strict=True) if kind == gguf.TokenType.CONTROL][:3] == [
        "<s>",
        "</s>",
        "<pad>",
    ]
    assert found["tokenizer.ggml.merges"] == [" ".join(merge) for merge in table["model"]["merges"]]
    ids = [found[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "padding")]
    assert ids == [trained.bos, trained.eos, trained.pad]
    assert found["tokenizer.ggml.add_bos_token"] is True


def test_a_pattern_that_llama_cpp_has_no_name_for_is_refused(
    folder: Callable[[int], Path], trained: own.Tokenizer, tmp_path: Path
):
    source = folder(trained.vocab_size)
    trained.save(source / "tokenizer.json")
    table = json.loads((source / "tokenizer.json").read_text())
    table["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"\d+|\D+"}
    (source / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(InputError, match=r"tokenizer\.json: llama\.cpp has no name"):
        convert(source, tmp_path / "x.gguf", "gguf")
    assert not list(tmp_path.glob("*x.gguf*"))


def test_more_tokens_than_the_model_has_are_refused(
    folder: Callable[[int], Path], trained: own.Tokenizer, tmp_path: Path
):
    source = folder(trained.vocab_size - 1)
    trained.save(source / "tokenizer.json")
    with pytest.raises(InputError, match=f"{trained.vocab_size} tokens, and the model has {trained.vocab_size - 1}"):
        convert(source, tmp_path / "x.gguf", "gguf")


def test_no_tokenizer_is_said(folder: Callable[[int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    convert(folder(50), tmp_path / "x.gguf", "gguf")
    assert "no tokenizer" in capsys.readouterr().err
    assert fields(tmp_path / "x.gguf") == {"tokenizer.ggml.model": "no_vocab"}


def test_sentencepieces_scores_keep_the_order_of_its_pieces(folder: Callable[[int], Path], tmp_path: Path):
    common = pytest.importorskip("mistral_common", reason="Mistral's tokenizers need the extra `mistral`")
    sentencepiece = pytest.importorskip("sentencepiece", reason="Mistral's tokenizers need the extra `mistral`")
    source = folder(32_000)
    path = source / "tokenizer.model"
    path.write_bytes((Path(common.__file__).parent / "data" / "tokenizer.model.v1").read_bytes())
    convert(source, tmp_path / "x.gguf", "gguf")
    found = fields(tmp_path / "x.gguf")
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    tokens, scores, types = (found[f"tokenizer.ggml.{name}"] for name in ("tokens", "scores", "token_type"))
    assert found["tokenizer.ggml.model"] == "llama"
    assert tokens == [model.id_to_piece(token) for token in range(32_000)]
    assert [types[token] == gguf.TokenType.BYTE for token in range(32_000)] == [
        model.is_byte(token) for token in range(32_000)
    ]
    merged = [token for token in range(32_000) if len(tokens[token]) > 1 and types[token] == gguf.TokenType.NORMAL]
    assert len(merged) > 20_000
    assert sorted(merged, key=lambda token: -scores[token]) == sorted(merged, key=lambda token: -model.get_score(token))
