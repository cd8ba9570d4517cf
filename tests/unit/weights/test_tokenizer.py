"""Mistral's real tokenizers, from mistral-common's wheel: our tokenizer.json gives their ids and the text back."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.data.tokenizer import PROBE
from orfevre.errors import InputError
from orfevre.weights import tokenizer
from orfevre.weights.convert import convert
from orfevre.weights.opened import open_weights

mistral_common = pytest.importorskip("mistral_common", reason="Mistral's tokenizers need the extra `mistral`")
pytest.importorskip("sentencepiece", reason="Mistral's tokenizers need the extra `mistral`")

DATA = Path(mistral_common.__file__).parent / "data"
FILES = ["tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3", "tekken_240911.json"]
TEXTS = [
    PROBE, "", " ", "  two  spaces", "▁ a▁b", "aaaaaaaaaaaaaaaaaaaaa", "[INST] hello [/INST]", "x\u200dy\ufffd",
    "नमस्ते दुनिया", "def f(x):\n\treturn {'a': x ** 2}\r\n" * 3, "Ĥ\u0302é́ ﬁ ½ ①", "https://example.org/a?b=c&d=%20",
    "\x00\x01\x7f\x80",
]  # fmt: skip


@pytest.fixture(scope="module", params=FILES)
def pair(request: pytest.FixtureRequest) -> tuple[tokenizer.Tokenizer, object]:
    """Ours and theirs of one file."""
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    path = DATA / request.param
    theirs = Tekkenizer.from_file(path) if path.suffix == ".json" else SentencePieceTokenizer(path)
    return tokenizer.load(path), theirs


def same(pair: tuple[tokenizer.Tokenizer, object], text: str) -> None:
    ours, theirs = pair
    ids = theirs.encode(text, bos=False, eos=False)
    assert ours.encode(text, add_special_tokens=False).ids == ids


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_theirs(pair: tuple[tokenizer.Tokenizer, object], text: str):
    same(pair, text)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_ids_are_theirs_for_any_text(pair: tuple[tokenizer.Tokenizer, object], text: str):
    same(pair, text)


@pytest.mark.parametrize("page", ["model", "curation", "mixture"])
def test_ids_are_theirs_for_documents(pair: tuple[tokenizer.Tokenizer, object], page: str):
    from tests.places import ROOT

    text = (ROOT / "docs" / "concepts" / f"{page}.md").read_text(encoding="utf-8")
    same(pair, text)
    ours, _ = pair
    assert ours.decode(ours.encode(text, add_special_tokens=False).ids) == text


def test_sizes_and_special_tokens(pair: tuple[tokenizer.Tokenizer, object]):
    ours, theirs = pair
    assert ours.get_vocab_size() == theirs.n_words
    assert tokenizer.special_ids(ours)["bos_token_id"] == theirs.bos_id == 1
    assert tokenizer.special_ids(ours)["eos_token_id"] == theirs.eos_id == 2
    ids = ours.encode("<s> </s>", add_special_tokens=False).ids
    assert not {1, 2} & set(ids)  # written out, they are text


def test_a_mistral_folders_tokenizer_comes_along(hf: Path, tmp_path: Path):
    import shutil

    import transformers

    from orfevre.model.transformer import Transformer
    from orfevre.weights import formats, mistral, published, written

    from .conftest import SHAPE

    config = SHAPE.model_copy(update={"vocab_size": 32_000})
    state = {name: torch.zeros(shape) for name, shape in formats.mistral(config, 32_000).shapes.items()}
    (tmp_path / "m").mkdir()
    written.write_file(tmp_path / "m" / "consolidated.safetensors", written.in_memory(state, torch.bfloat16))
    published.write_json(tmp_path / "m" / "params.json", mistral.write(config, 32_000))
    shutil.copyfile(DATA / "tokenizer.model.v1", tmp_path / "m" / "tokenizer.model")
    convert(tmp_path / "m", tmp_path / "hf", "hf")
    assert isinstance(open_weights(tmp_path / "hf").load(), Transformer)
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    ours = tokenizer.load(tmp_path / "m" / "tokenizer.model")
    for text in TEXTS:
        ids = ours.encode(text, add_special_tokens=False).ids
        assert read(text, add_special_tokens=False)["input_ids"] == ids
        assert read(text)["input_ids"] == [1, *ids]
    assert (read.bos_token_id, read.eos_token_id) == (1, 2)
    convert(tmp_path / "hf", tmp_path / "back", "mistral")
    assert (tmp_path / "back" / "tokenizer.model").read_bytes() == (DATA / "tokenizer.model.v1").read_bytes()


def test_damaged_files_are_named(tmp_path: Path):
    for name, content in (("tokenizer.model", b"noise"), ("tekken.json", b'{"vocab": 3}'), ("tokenizer.json", b"{}")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            tokenizer.load(tmp_path / name)
