"""`orfevre convert`: round trips bit for bit, the same logits elsewhere, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from orfevre import cli
from orfevre.recipe import Model
from orfevre.weights import formats
from orfevre.weights.convert import convert
from orfevre.weights.opened import open_weights

from .conftest import SHAPE, VOCAB, make
from .test_opened import OPTIONS, save_own


def test_through_mistrals_format_and_back_every_bit_is_the_same(
    hf: Path, theirs: transformers.MixtralForCausalLM, tmp_path: Path, ids_BS: torch.Tensor
):
    convert(hf, tmp_path / "mistral", "mistral")
    convert(tmp_path / "mistral", tmp_path / "back", "hf")
    before, after = load_file(hf / "model.safetensors"), load_file(tmp_path / "back" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    loaded = transformers.MixtralForCausalLM.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        assert torch.equal(loaded(ids_BS).logits, theirs(ids_BS).logits)


def test_mistrals_format_is_mistrals(hf: Path, tmp_path: Path):
    """Names, and queries whose pairs lie side by side: rope by complex numbers gives the same scores as by halves."""
    convert(hf, tmp_path / "mistral", "mistral")
    theirs = load_file(tmp_path / "mistral" / "consolidated.safetensors")
    params = json.loads((tmp_path / "mistral" / "params.json").read_text())
    assert params["moe"] == {"num_experts": 4, "num_experts_per_tok": 2}
    assert theirs["layers.1.feed_forward.experts.3.w2.weight"].shape == (32, 48)
    ours = load_file(hf / "model.safetensors")
    q_old, k_old = (ours[f"model.layers.0.self_attn.{part}_proj.weight"][:16] for part in "qk")
    q_new, k_new = (theirs[f"layers.0.attention.w{part}.weight"][:16] for part in "qk")
    x, y = torch.randn(2, 32, generator=torch.Generator().manual_seed(1)).unbind()
    angles = torch.arange(8) * 0.3
    turn = torch.polar(torch.ones(8), angles)

    def by_halves(v: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(torch.complex(v[:8], v[8:]) * turn)

    def by_pairs(v: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(torch.view_as_complex(v.view(8, 2)) * turn)

    assert torch.allclose(by_halves(q_old @ x), by_pairs(q_new @ x), atol=1e-6)
    assert torch.allclose(
        (by_halves(q_old @ x) * by_halves(k_old @ y)).sum(),
        (by_pairs(q_new @ x) * by_pairs(k_new @ y)).sum(),
        atol=1e-5,
    )


@pytest.mark.parametrize("to", ["hf", "mistral"])
def test_a_dtype_rounds_as_torch_does(hf: Path, tmp_path: Path, to: str):
    convert(hf, tmp_path / "half", to, "bfloat16")
    rounded, exact = open_weights(tmp_path / "half"), open_weights(hf)
    for name in exact.names():
        assert torch.equal(rounded.tensor(name), exact.tensor(name).bfloat16())
    if to == "hf":
        assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


def test_options_beyond_mixtral_keep_orfevres_format(tmp_path: Path, ids_BS: torch.Tensor):
    model = make(Model.model_validate(SHAPE.model_dump() | OPTIONS["all"]))
    (tmp_path / "own").mkdir()
    save_own(model, tmp_path / "own")
    convert(tmp_path / "own", tmp_path / "again", "hf")
    opened = open_weights(tmp_path / "again")
    assert (opened.format, opened.config) == ("orfevre", model.config)
    with torch.no_grad():
        assert torch.equal(opened.load()(ids_BS), model(ids_BS))


def test_blocks_that_look_ahead_are_left_out(tmp_path: Path, ids_BS: torch.Tensor, capsys: pytest.CaptureFixture[str]):
    model = make(SHAPE.model_copy(update={"mtp_depth": 2}))
    (tmp_path / "own").mkdir()
    save_own(model, tmp_path / "own")
    convert(tmp_path / "own", tmp_path / "hf", "hf")
    assert "mtp_depth" in capsys.readouterr().err
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    with torch.no_grad():
        assert (loaded(ids_BS).logits - model(ids_BS)).abs().max() < 1e-4


@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "q8_0"])
def test_gguf_holds_every_weight(tmp_path: Path, dtype: str, experts: int):
    gguf = pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")
    shape = {"num_experts": experts, "experts_per_token": 1, "ffn_size": 64, "hidden_size": 32}
    model = make(Model.model_validate(SHAPE.model_dump() | shape))
    (tmp_path / "own").mkdir()
    save_own(model, tmp_path / "own")
    convert(tmp_path / "own", tmp_path / "x.gguf", "gguf", dtype)
    reader = gguf.GGUFReader(tmp_path / "x.gguf")
    assert reader.get_field("llama.feed_forward_length").contents() == 64
    assert reader.get_field("llama.attention.key_length").contents() == 16
    expert_count = reader.get_field("llama.expert_count")
    assert (expert_count.contents() if expert_count else 1) == experts
    found = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    layout = formats.gguf(model.config, VOCAB)
    assert found.keys() == layout.shapes.keys()
    state, tolerance = model.state_dict(), {"float32": 0.0, "float16": 1e-3, "bfloat16": 4e-3, "q8_0": 5e-3}[dtype]
    moe = state["blocks.1.moe.w13"]
    expected = {
        "blk.1.ffn_gate_exps.weight": moe[:, :64], "blk.1.ffn_up_exps.weight": moe[:, 64:],
        "blk.1.ffn_down_exps.weight": state["blocks.1.moe.w2"],
    } if experts > 1 else {
        "blk.1.ffn_gate.weight": moe[0, :64], "blk.1.ffn_up.weight": moe[0, 64:],
        "blk.1.ffn_down.weight": state["blocks.1.moe.w2"][0],
    }  # fmt: skip
    expected |= {"token_embd.weight": state["embedding.weight"], "output_norm.weight": state["norm.weight"]}
    expected["blk.0.attn_v.weight"] = state["blocks.0.attention.qkv.weight"][-32:]
    for name, tensor in expected.items():
        assert found[name].shape == tuple(tensor.shape)
        assert np.abs(found[name] - tensor.numpy()).max() <= tolerance * float(tensor.abs().max())


def test_a_gguf_file_gives_the_same_logits(
    hf: Path, theirs: transformers.MixtralForCausalLM, tmp_path: Path, ids_BS: torch.Tensor
):
    """By transformers' own reading of the file's tensors: permuted back, they are the model's."""
    gguf = pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")
    convert(hf, tmp_path / "x.gguf", "gguf", "float32")
    tensors = {
        tensor.name: torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type)))
        for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors
    }
    model = transformers.MixtralForCausalLM(theirs.config).eval()
    state = {"model.embed_tokens.weight": tensors["token_embd.weight"], "lm_head.weight": tensors["output.weight"]}
    state["model.norm.weight"] = tensors["output_norm.weight"]
    for layer in range(2):
        there, here = f"model.layers.{layer}.", f"blk.{layer}."
        for part, name in (("q", "attn_q"), ("k", "attn_k")):
            pairs = tensors[f"{here}{name}.weight"]
            halves = pairs.view(-1, 8, 2, 32).transpose(1, 2).reshape(pairs.shape)
            state[f"{there}self_attn.{part}_proj.weight"] = halves
        state[f"{there}self_attn.v_proj.weight"] = tensors[f"{here}attn_v.weight"]
        state[f"{there}self_attn.o_proj.weight"] = tensors[f"{here}attn_output.weight"]
        state[f"{there}input_layernorm.weight"] = tensors[f"{here}attn_norm.weight"]
        state[f"{there}post_attention_layernorm.weight"] = tensors[f"{here}ffn_norm.weight"]
        state[f"{there}mlp.gate.weight"] = tensors[f"{here}ffn_gate_inp.weight"]
        gate, up = tensors[f"{here}ffn_gate_exps.weight"], tensors[f"{here}ffn_up_exps.weight"]
        state[f"{there}mlp.experts.gate_up_proj"] = torch.cat((gate, up), dim=1)
        state[f"{there}mlp.experts.down_proj"] = tensors[f"{here}ffn_down_exps.weight"]
    model.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(model(ids_BS).logits, theirs(ids_BS).logits)


def test_the_verb_prints_where(hf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["convert", str(hf), str(tmp_path / "m"), "--to", "mistral"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "consolidated.safetensors",
        "generation_config.json",
        "params.json",
    ]


def test_what_an_interrupted_attempt_left_is_cleared(hf: Path, tmp_path: Path):
    (tmp_path / ".m.partial").mkdir()
    (tmp_path / ".m.partial" / "half.safetensors").write_text("half")
    convert(hf, tmp_path / "m", "mistral")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert not (tmp_path / "m" / "half.safetensors").exists()


SLOWLY = """
import sys, time, pathlib
from orfevre.weights import convert, stream
whole = stream.check_finite
def slowly(*arguments):
    time.sleep(0.02)
    whole(*arguments)
stream.check_finite = slowly
convert.convert(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
"""


@pytest.mark.parametrize(("to", "name"), [("mistral", "m"), ("gguf", "m.gguf")])
def test_a_kill_leaves_nothing_under_the_name(hf: Path, tmp_path: Path, to: str, name: str):
    if to == "gguf":
        pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")
    target, aside = tmp_path / name, tmp_path / f".{name}.partial"
    child = subprocess.Popen([sys.executable, "-c", SLOWLY, str(hf), str(target), to])
    begun = time.monotonic()
    while not aside.exists() and time.monotonic() - begun < 60:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert aside.exists() and not target.exists()
    convert(hf, target, to)
    assert target.exists() and not aside.exists()
