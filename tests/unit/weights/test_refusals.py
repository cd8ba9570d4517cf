"""Bad input: exit code 2, and words that name the file, what is wrong and the remedy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from orfevre import cli
from orfevre.recipe import Model
from orfevre.weights import convert as module
from orfevre.weights.opened import open_weights

from .conftest import SHAPE, make
from .test_opened import save_own


@pytest.fixture
def folder(hf: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    copy = tmp_path / "model"
    shutil.copytree(hf, copy)
    return copy


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Convert, expect exit code 2 and nothing written, return what was said, in one line."""

    def run(source: Path, to: str = "hf", *more: str) -> str:
        target = tmp_path / ("out.gguf" if to == "gguf" else "out")
        assert cli.main(["convert", str(source), str(target), "--to", to, *more]) == 2
        assert not list(tmp_path.glob("*out*")) and not list(tmp_path.glob(".out*"))
        return " ".join(capsys.readouterr().err.split())

    return run


def change(path: Path, **values: object) -> None:
    table = json.loads(path.read_text())
    table.update(values)
    path.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "'gpt2' (architectures: GPT2LMHeadModel)"),
        ({"model_type": None}, "model_type None"),
        ({"num_attention_heads": 5}, "num_heads 5 does not divide by num_kv_heads 2"),
        ({"head_dim": 15}, "odd"),
        ({"num_experts_per_tok": 5}, "experts_per_token 5 exceeds num_experts 4"),
        ({"hidden_size": "large"}, "hidden_size is 'large', not a number"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": -4}, "hidden_size"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}}, "rope_type is 'yarn'"),
        ({"quantization_config": {"bits": 4}}, "unquantised"),
        ({"hidden_size": 64}, "its configuration says"),
        ({"num_hidden_layers": 3}, "model.layers.2.block_sparse_moe.experts.0.w1.weight (and 18 more) is missing"),
        ({"num_hidden_layers": 1}, "is not of this model"),
    ],
)  # fmt: skip
def test_configurations_that_do_not_fit(
    folder: Path, refused: Callable[..., str], changes: dict[str, object], words: str
):
    change(folder / "config.json", **changes)
    said = refused(folder)
    assert words in said and str(folder) in said


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff\xfe"])
def test_a_configuration_that_is_not_json(folder: Path, refused: Callable[..., str], text: str):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert "config.json" in refused(folder)


def test_tensors_missing_extra_and_of_another_shape(folder: Path, refused: Callable[..., str]):
    path = folder / "model.safetensors"
    state = load_file(path)
    name = "model.layers.1.self_attn.k_proj.weight"
    save_file({other: tensor for other, tensor in state.items() if other != name}, path)
    assert f"tensor {name} is missing" in refused(folder)
    save_file(state | {"model.layers.9.strange": torch.zeros(2)}, path)
    assert "tensor model.layers.9.strange is not of this model" in refused(folder)
    save_file(state | {name: torch.zeros(32, 31)}, path)
    assert f"tensor {name} is [32, 31], its configuration says [32, 32]" in refused(folder)


def test_a_truncated_file(folder: Path, refused: Callable[..., str]):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    said = refused(folder)
    assert "model.safetensors: truncated" in said and "fetch it again" in said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("to", ["hf", "mistral", "gguf"])
def test_weights_that_are_not_finite(folder: Path, refused: Callable[..., str], value: float, to: str):
    if to == "gguf":
        pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")
    path = folder / "model.safetensors"
    state = load_file(path)
    state["model.layers.1.block_sparse_moe.experts.2.w3.weight"][3, 5] = value
    save_file(state, path, metadata={"format": "pt"})
    assert "tensor blocks.1.moe.w13 holds NaN or infinity" in refused(folder, to)
    with pytest.raises(ValueError, match=r"blocks\.1\.moe\.w13 holds NaN"):
        open_weights(folder).load()


def test_numbers_too_large_for_float16(folder: Path, refused: Callable[..., str]):
    path = folder / "model.safetensors"
    state = load_file(path)
    state["model.norm.weight"][0] = 1e6
    save_file(state, path)
    said = refused(folder, "hf", "--dtype", "float16")
    assert "tensor norm.weight holds numbers above 65504" in said and "bfloat16" in said


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
def test_pickles_are_refused_unopened(folder: Path, refused: Callable[..., str], suffix: str):
    (folder / "model.safetensors").unlink()
    pickle = folder / f"pytorch_model{suffix}"
    pickle.write_bytes(b"cos\nsystem\n(S'touch /tmp/opened'\ntR.")
    for source in (folder, pickle):
        said = refused(source)
        assert f"{pickle.name}: a pickle" in said and "safetensors" in said


def test_shards_that_the_index_names_must_be_there(folder: Path, refused: Callable[..., str]):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "model-2.safetensors"}}))
    assert "model-2.safetensors: missing" in refused(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {}}))
    assert "no weight_map" in refused(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../../model-2.safetensors"}}))
    assert str(folder / "model-2.safetensors") in refused(folder)  # never outside the folder


def test_places_that_hold_no_model(tmp_path: Path, refused: Callable[..., str]):
    assert "no such folder" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no model here" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "params.json").write_text(
        '{"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8, "norm_eps": 1e-5, "vocab_size": 9}'
    )
    assert "no consolidated*.safetensors here" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "params.json").write_text('{"vision_encoder": {}}')
    assert "vision_encoder" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "params.json").write_text('{"model_type": "mamba"}')
    assert "'mamba'" in refused(tmp_path / "empty")


def test_places_that_may_not_be_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def said(target: Path, *more: str) -> str:
        assert cli.main(["convert", str(folder), str(target), *(more or ("--to", "hf"))]) == 2
        return " ".join(capsys.readouterr().err.split())

    (tmp_path / "there").mkdir()
    before = sorted(folder.iterdir())
    assert "exists" in said(tmp_path / "there")
    assert "the model itself" in said(folder)
    assert "inside the model's own folder" in said(folder / "inside")
    assert "is not a folder" in said(tmp_path / "no" / "such" / "place")
    assert "ends with .gguf" in said(tmp_path / "x", "--to", "gguf")
    assert "q8_0 is GGUF's" in said(tmp_path / "x", "--to", "hf", "--dtype", "q8_0")
    assert sorted(folder.iterdir()) == before


def test_a_full_disk_is_seen_before_anything_is_written(
    folder: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 50_000_000))
    said = refused(folder)
    assert "50 MB are free" in said and "make room" in said
    assert list(tmp_path.glob(".out*")) == []


@pytest.mark.parametrize(
    ("options", "to", "words"),
    [
        ({"qk_norm": True, "shared_experts": 1}, "mistral", "model.shared_experts = 1, model.qk_norm = true"),
        ({"router": "sigmoid"}, "gguf", 'model.router = "sigmoid"'),
        ({"sliding_window": 8}, "gguf", "sliding window of 8"),
        ({"hidden_size": 40}, "gguf q8_0", "rows of 40"),
    ],
)
def test_what_a_format_has_no_word_for(
    tmp_path: Path, refused: Callable[..., str], options: dict[str, object], to: str, words: str
):
    if to.startswith("gguf"):
        pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")
    (tmp_path / "own").mkdir()
    save_own(make(Model.model_validate(SHAPE.model_dump() | options)), tmp_path / "own")
    kind, *dtype = to.split()
    assert words in refused(tmp_path / "own", kind, *(("--dtype", *dtype) if dtype else ()))
