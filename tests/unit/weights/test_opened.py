"""Every format opens to the same model: transformers' logits, our tensors, any rows of them."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from orfevre.errors import WorkFolderError
from orfevre.recipe import Model
from orfevre.weights import formats, mistral, published, stream, written
from orfevre.weights.opened import Opened, open_weights

from .conftest import SHAPE, VOCAB, make


def logits_differ(model: torch.nn.Module, theirs: torch.nn.Module, ids_BS: torch.Tensor) -> float:
    with torch.no_grad():
        expected = theirs(ids_BS).logits
        assert expected.std() > 0.1
        return float((model(ids_BS) - expected).abs().max())


@pytest.mark.parametrize(
    "saved", [{}, {"save_original_format": False}, {"max_shard_size": "40KB"}], ids=["published", "fused", "sharded"]
)
def test_models_saved_by_transformers_give_its_logits(
    theirs: transformers.MixtralForCausalLM, tmp_path: Path, ids_BS: torch.Tensor, saved: dict[str, object]
):
    theirs.save_pretrained(tmp_path, **saved)
    opened = open_weights(tmp_path)
    assert (opened.format, opened.vocab_size) == ("hf", VOCAB)
    assert opened.config == SHAPE
    assert logits_differ(opened.load(), theirs, ids_BS) < 1e-4


def test_fused_experts_are_what_was_saved(theirs: transformers.MixtralForCausalLM, tmp_path: Path):
    theirs.save_pretrained(tmp_path, save_original_format=False)
    assert "model.layers.0.mlp.experts.gate_up_proj" in load_file(tmp_path / "model.safetensors")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_dense_models_are_one_expert(tmp_path: Path, ids_BS: torch.Tensor, family: str, tied: bool):
    settings = {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
        "initializer_range": 0.2, "tie_word_embeddings": tied,
    }  # fmt: skip
    if family == "mistral":
        config, kind = transformers.MistralConfig(sliding_window=16, **settings), transformers.MistralForCausalLM
    else:
        config, kind = transformers.LlamaConfig(**settings), transformers.LlamaForCausalLM
    torch.manual_seed(1)
    dense = kind(config).eval()
    dense.save_pretrained(tmp_path)
    opened = open_weights(tmp_path)
    assert (opened.config.num_experts, opened.config.sliding_window) == (1, 16 if family == "mistral" else 0)
    assert logits_differ(opened.load(), dense, ids_BS) < 1e-4


def test_tied_embeddings_are_one_tensor(tmp_path: Path):
    config = SHAPE.model_copy(update={"tie_embeddings": True})
    save_own(make(config), tmp_path)
    opened = open_weights(tmp_path)
    model = opened.load()
    assert model.output.weight is model.embedding.weight
    assert "output.weight" not in opened.names()
    assert torch.equal(opened.tensor("output.weight"), opened.tensor("embedding.weight"))


OPTIONS = {
    "plain": {},
    "all": {
        "shared_experts": 1, "qk_norm": True, "router": "sigmoid", "balancing": "bias", "mtp_depth": 1,
        "sliding_window": 8, "tie_embeddings": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_own_releases_hold_every_option(tmp_path: Path, ids_BS: torch.Tensor, options: dict[str, object]):
    model = make(Model.model_validate(SHAPE.model_dump() | options))
    for buffer in model.buffers():  # the bias that balances experts is drawn too
        if buffer.shape == (SHAPE.num_experts,):
            torch.nn.init.normal_(buffer, generator=torch.Generator().manual_seed(4))
    save_own(model, tmp_path)
    opened = open_weights(tmp_path)
    loaded = opened.load()
    assert opened.config == model.config
    state = loaded.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(loaded(ids_BS), model(ids_BS))


def save_own(model: torch.nn.Module, folder: Path) -> None:
    from orfevre.weights import huggingface

    names = formats.own_shapes(model.config, VOCAB)
    state = {name: model.state_dict()[name] for name in names}
    written.write(folder, written.in_memory(state, torch.float32))
    published.write_json(folder / "config.json", huggingface.write_own(model.config, VOCAB, {}, "float32"))


def test_a_run_opens_as_what_it_trained(tmp_path: Path, ids_BS: torch.Tensor):
    model = make(SHAPE)
    step = tmp_path / "run" / "train" / "checkpoints" / "step-3"
    step.mkdir(parents=True)
    save_file(dict(model.named_parameters()), step / "model.safetensors")
    train = tmp_path / "run" / "train"
    (train / "config.json").write_text(SHAPE.model_dump_json())
    (train / "summary.json").write_text(json.dumps({"checkpoint": "checkpoints/step-3"}))
    (tmp_path / "run" / "tokenize").mkdir()
    (tmp_path / "run" / "tokenize" / "index.json").write_text(json.dumps({"bos": 0, "eos": 1, "pad": 2}))
    opened = open_weights(tmp_path / "run")
    assert (opened.format, opened.special["eos_token_id"], opened.tokenizer_path) == ("orfevre", 1, None)
    with torch.no_grad():
        assert torch.equal(opened.load()(ids_BS), model(ids_BS))
    (train / "summary.json").unlink()
    with pytest.raises(WorkFolderError, match="no trained model"):
        open_weights(tmp_path / "run")


LAYOUTS = {
    "hf": formats.hugging_face,
    "fused": lambda config, vocab: formats.hugging_face(config, vocab, fused=True),
    "mistral": formats.mistral,
    "stacked": lambda config, vocab: formats.mistral(config, vocab, stacked=True),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def opened(request: pytest.FixtureRequest, hf: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The tiny model, rewritten in each layout."""
    folder = tmp_path_factory.mktemp(request.param)
    source = open_weights(hf)
    planned = stream.plan(source, LAYOUTS[request.param](source.config, source.vocab_size), None)
    if request.param in ("hf", "fused"):
        written.write(folder, planned, max_shard_bytes=30_000)
        (folder / "config.json").write_bytes((hf / "config.json").read_bytes())
    else:
        written.write_file(folder / "consolidated.00.safetensors", planned)
        published.write_json(folder / "params.json", mistral.write(source.config, source.vocab_size))
    return open_weights(folder)


def test_every_layout_holds_the_same_tensors(opened: Opened, hf: Path):
    source = open_weights(hf)
    for name in source.names():
        assert torch.equal(opened.tensor(name), source.tensor(name)), name
        assert opened.tensor(name).shape == opened.shapes[name]
    w13, w2 = opened.expert(1, 2)
    assert torch.equal(w13, source.tensor("blocks.1.moe.w13")[2])
    assert torch.equal(w2, source.tensor("blocks.1.moe.w2")[2])
    with pytest.raises(IndexError):
        opened.expert(0, 4)


def test_stacked_experts_lie_as_in_the_first_release(hf: Path, tmp_path: Path):
    """w1 and w3 expert after expert, w2 of each expert transposed: `[E * F, H]` all three."""
    source = open_weights(hf)
    planned = stream.plan(source, formats.mistral(SHAPE, VOCAB, stacked=True), None)
    written.write_file(tmp_path / "consolidated.safetensors", planned)
    theirs, ours = load_file(tmp_path / "consolidated.safetensors"), load_file(hf / "model.safetensors")
    for part in ("w1", "w2", "w3"):
        experts = [ours[f"model.layers.1.block_sparse_moe.experts.{e}.{part}.weight"] for e in range(4)]
        expected = torch.cat([expert.T if part == "w2" else expert for expert in experts])
        assert torch.equal(theirs[f"layers.1.block_sparse_moe.{part}"], expected)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), mapped=st.booleans())
def test_any_rows_are_those_of_the_tensor(opened: Opened, data: st.DataObject, mapped: bool):
    name = data.draw(st.sampled_from(opened.names()))
    whole = (
        opened.tensor(name).reshape(-1, *opened.shapes[name][-1:])
        if len(opened.shapes[name]) > 1
        else opened.tensor(name)
    )
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    assert torch.equal(opened.rows(name, start, stop, mapped=mapped), whole[start:stop])


def test_dtype_is_as_asked(opened: Opened, ids_BS: torch.Tensor):
    model = opened.load(torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.isfinite(model(ids_BS)).all()
