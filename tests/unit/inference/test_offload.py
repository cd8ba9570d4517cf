"""A model whose experts stay in its files gives what the whole model gives, in less memory than its files take."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from orfevre import recipe
from orfevre.errors import InputError, UserError
from orfevre.inference.decoder import TorchDecoder
from orfevre.inference.held import Precision
from orfevre.inference.offload import OffloadedDecoder
from orfevre.inference.quantise import BITS, group_of, quantise
from orfevre.model.block import Block
from orfevre.model.transformer import Transformer
from orfevre.weights import huggingface
from orfevre.weights.convert import convert
from orfevre.weights.opened import Opened, open_weights

Make = Callable[..., Transformer]
OPTIONS = {
    "mixtral": {},
    "newer": {"shared_experts": 1, "qk_norm": True, "router": "sigmoid", "balancing": "bias", "mtp_depth": 1},
    "fine": {"num_experts": 8, "experts_per_token": 3, "tie_embeddings": True, "sliding_window": 5},
    "dense": {"num_experts": 1, "experts_per_token": 1},
}
PLENTY = 1 << 30


def save(model: Transformer, folder: Path, dtype: torch.dtype = torch.float32) -> Opened:
    """As a release of ours."""
    folder.mkdir(parents=True)
    tied = {"output.weight"} if model.config.tie_embeddings else set()
    state = {name: tensor.to(dtype) for name, tensor in model.state_dict().items() if name not in tied}
    save_file(state, folder / "model.safetensors")
    table = huggingface.write_own(model.config, model.vocab_size, {}, str(dtype).removeprefix("torch."))
    (folder / "config.json").write_text(json.dumps(table))
    return open_weights(folder)


@pytest.fixture(scope="module")
def make_plain(make_model: Make) -> Make:
    """Weights as they are drawn: those of `make_model` are so large that float32 itself is off by 2e-4."""

    def make(**options: object) -> Transformer:
        made = make_model(**options)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.div_(4)
        return made

    return make


@pytest.fixture(scope="module")
def model(make_plain: Make) -> Transformer:
    return make_plain()


@pytest.fixture(scope="module")
def opened(model: Transformer, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return save(model, tmp_path_factory.mktemp("offload") / "model")


def expert_bytes(config: recipe.Model, size: int = 4) -> int:
    return 3 * config.hidden_size * config.ffn_size * size


def check_close(logits: torch.Tensor, expected: torch.Tensor) -> None:
    """Within 1e-5 of the largest logit: as near as float32 is when sums are made in another order."""
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.integers(2, 9),
    prompts=st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=20), min_size=1, max_size=3),
    new=st.lists(st.lists(st.integers(0, 49), min_size=3, max_size=3), min_size=1, max_size=5),
)
def test_the_whole_models_logits_at_any_size_of_the_cache(
    opened: Opened, model: Transformer, places: int, prompts: list[list[int]], new: list[list[int]]
) -> None:
    slots = list(range(len(prompts)))
    ours = OffloadedDecoder(opened, places * expert_bytes(model.config), len(prompts))
    oracle = TorchDecoder(model, len(prompts))
    ample = OffloadedDecoder(opened, PLENTY, len(prompts))
    for slot, ids in enumerate(prompts):
        logits = ours.prefill(slot, ids)
        check_close(logits, oracle.prefill(slot, ids))
        assert torch.equal(logits, ample.prefill(slot, ids))
    for tokens in new:
        logits = ours.step(slots, tokens[: len(slots)])
        check_close(logits, oracle.step(slots, tokens[: len(slots)]))
        assert torch.equal(logits, ample.step(slots, tokens[: len(slots)]))
    assert ours.statistics.asked == ample.statistics.asked
    assert ours.cache.capacity == min(places, 8)
    assert ample.statistics.misses <= 8


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_options(options: dict[str, object], make_plain: Make, tmp_path: Path) -> None:
    whole = make_plain(**options)
    if whole.config.balancing == "bias":
        for block in whole.blocks:
            block.moe.balance_bias.copy_(torch.tensor([0.2, -0.2, 0.1, 0.0]))  # type: ignore[union-attr,operator]
    decoder = OffloadedDecoder(save(whole, tmp_path / "m"), 3 * expert_bytes(whole.config))
    oracle = TorchDecoder(whole)
    check_close(decoder.prefill(0, [3, 1, 4, 1, 5, 9]), oracle.prefill(0, [3, 1, 4, 1, 5, 9]))
    for token in (2, 6, 5):
        check_close(decoder.step([0], [token]), oracle.step([0], [token]))


@pytest.mark.parametrize("to", ["hf", "mistral"])
def test_layouts_of_others(to: str, opened: Opened, model: Transformer, tmp_path: Path) -> None:
    convert(opened.path, tmp_path / to, to)
    decoder = OffloadedDecoder(open_weights(tmp_path / to), 2 * expert_bytes(model.config))
    check_close(decoder.prefill(0, [3, 1, 4]), TorchDecoder(model).prefill(0, [3, 1, 4]))


def test_a_transposed_w2_is_put_in_order(model: Transformer, tmp_path: Path) -> None:
    """As in the first release of Mixtral 8x7B: experts stacked, w2 transposed."""
    whole = save(model, tmp_path / "own")
    convert(whole.path, tmp_path / "mistral", "mistral")
    target, state = tmp_path / "mistral", {}
    for name, tensor in load_file(target / "consolidated.safetensors").items():
        if "experts" not in name:
            state[name.replace("feed_forward", "block_sparse_moe")] = tensor
    for layer, block in enumerate(model.blocks):
        w1, w3 = block.moe.w13.detach().chunk(2, dim=1)  # type: ignore[union-attr,operator]
        w2 = block.moe.w2.detach().transpose(1, 2)  # type: ignore[union-attr,operator]
        for part, tensor in (("w1", w1), ("w2", w2), ("w3", w3)):
            state[f"layers.{layer}.block_sparse_moe.{part}"] = tensor.flatten(0, 1).contiguous()
    save_file(state, target / "consolidated.safetensors")
    decoder = OffloadedDecoder(open_weights(target), 2 * expert_bytes(model.config))
    check_close(decoder.prefill(0, [3, 1, 4]), TorchDecoder(model).prefill(0, [3, 1, 4]))


@pytest.mark.parametrize(("precision", "bits"), [("bfloat16", 16), ("int8", 8), ("int4", 4)])
def test_experts_held_narrower_than_stored(precision: Precision, bits: int, make_plain: Make, tmp_path: Path) -> None:
    """A layer is the layer of the rounded experts, and the cache has room for more of them."""
    model = make_plain(hidden_size=64, ffn_size=64)
    opened = save(model, tmp_path / "m")
    group = group_of(64, BITS[precision]) if precision in BITS else None
    each = 3 * 64 * 64 * bits // 8 + (3 * 64 * 64 // group * 2 if group else 0)
    assert OffloadedDecoder(opened, 2 * each, precision=precision).cache.capacity == 2
    with pytest.raises(UserError, match="--offload"):
        OffloadedDecoder(opened, 2 * each - 1, precision=precision)
    layer = cast(Block, OffloadedDecoder(opened, PLENTY, precision=precision).model.blocks[1]).moe
    oracle = cast(Block, copy.deepcopy(model).bfloat16().blocks[1]).moe
    for weights, kept in zip((oracle.w13, oracle.w2), ("w13", "w2"), strict=True):
        for e, rounded in enumerate(weights.detach()):
            held = opened.expert(1, e)[kept == "w2"]
            rounded[:] = held if precision == "bfloat16" else quantise(held, BITS[precision], 0).dequantise()
    x_TH = torch.randn(20, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.inference_mode():
        ours, theirs = layer(x_TH)[0].float(), oracle(x_TH)[0].float()
    assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_a_cache_too_small_is_refused_with_the_least_that_works(opened: Opened, model: Transformer) -> None:
    least = 2 * expert_bytes(model.config)
    with pytest.raises(UserError, match=r"--offload .* GiB: .* 2 experts at once, each of 12,288 bytes") as caught:
        OffloadedDecoder(opened, least - 1)
    advised = float(re.findall(r"give ([0-9.]+) or more", str(caught.value))[0])
    assert OffloadedDecoder(opened, round(advised * 2**30)).cache.capacity == 2
    assert OffloadedDecoder(opened, least).cache.capacity == 2


def test_a_context_longer_than_the_models_is_refused(opened: Opened) -> None:
    with pytest.raises(UserError, match="a context of 65 is longer"):
        OffloadedDecoder(opened, PLENTY, context_length=65)
    with pytest.raises(UserError, match="context_length 4"):
        OffloadedDecoder(opened, PLENTY, context_length=4).prefill(0, [1] * 5)


@pytest.mark.parametrize("precision", [None, "bfloat16"], ids=["straight", "aside"])
def test_a_file_truncated_while_the_model_runs(precision: Precision | None, model: Transformer, tmp_path: Path) -> None:
    decoder = OffloadedDecoder(save(model, tmp_path / "m"), PLENTY, precision=precision)
    first = decoder.prefill(0, [1])
    file = tmp_path / "m" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 4])
    with pytest.raises(InputError, match=rf"{file.name}: ends inside a tensor"):
        for token in range(40):
            decoder.prefill(0, [token])
    held = decoder.length(0)
    file.write_bytes(whole)
    decoder.truncate(0, 0)
    assert held < 42
    assert torch.equal(decoder.prefill(0, [1]), first)  # and it goes on when the file is whole again


def test_a_file_that_is_gone(model: Transformer, tmp_path: Path) -> None:
    opened = save(model, tmp_path / "m")
    running = OffloadedDecoder(opened, PLENTY)
    aside = OffloadedDecoder(opened, PLENTY, precision="bfloat16")
    file = tmp_path / "m" / "model.safetensors"
    file.unlink()
    assert running.prefill(0, [1, 2, 3]).isfinite().all()  # it is open, so it is there for whoever has it open
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read while the model runs \(No such file"):
        aside.prefill(0, [1, 2, 3])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        OffloadedDecoder(opened, PLENTY)


@pytest.mark.parametrize("name", ["blocks.1.moe.w2", "blocks.1.attention.qkv.weight"])
def test_a_weight_that_is_not_finite_is_refused(name: str, make_model: Make, tmp_path: Path) -> None:
    damaged = make_model()
    dict(damaged.named_parameters())[name].data.flatten()[7] = float("nan")
    with pytest.raises(InputError, match=name):
        OffloadedDecoder(save(damaged, tmp_path / "m"), PLENTY).prefill(0, list(range(40)))


def test_the_line_for_people(opened: Opened) -> None:
    decoder = OffloadedDecoder(opened, PLENTY)
    assert decoder.summary().startswith("expert cache: 0 % of 0 hits, 0 B read")
    decoder.prefill(0, list(range(50)))
    decoder.step([0], [1])
    counted = decoder.statistics
    assert counted.asked == 8 + 4
    assert decoder.summary().startswith("expert cache: 33 % of 12 hits, 98.3 kB read in ")
    assert decoder.summary().endswith(" tokens/s")


CHILD = """
import json, re, sys
from pathlib import Path
import torch
from orfevre.inference.offload import OffloadedDecoder
from orfevre.weights.opened import open_weights
def peak(): return 1024 * int(re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
folder, cache, tokens = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
a = torch.ones(64, 64, dtype=torch.bfloat16); a @ a
opened, before = open_weights(folder), peak()
decoder = OffloadedDecoder(opened, cache, 2)
for slot in range(2):
    decoder.prefill(slot, [slot + 1, 5, 7])
for token in range(tokens):
    logits = decoder.step([0, 1], [token, token + 1])
counted = decoder.statistics
print(json.dumps({"grown": peak() - before, "finite": bool(logits.isfinite().all()), "hits": counted.hits,
    "misses": counted.misses, "bytes_read": counted.bytes_read, "line": decoder.summary()}))
"""


def run_in_a_child(folder: Path, config: recipe.Model, share: float, tokens: int) -> dict[str, object]:
    """Random bfloat16 weights in a release of ours; run it with a cache of a share of its experts."""
    folder.mkdir()
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Transformer(config, 512).state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.randn(shape, generator=generator, dtype=torch.bfloat16) * shape[-1] ** -0.5
        for name, shape in shapes.items()
    }
    save_file(state, folder / "model.safetensors")
    table = huggingface.write_own(config, 512, {}, "bfloat16")
    (folder / "config.json").write_text(json.dumps(table))
    cache = int(share * config.num_layers * config.num_experts * expert_bytes(config, 2))
    command = [sys.executable, "-c", CHILD, str(folder), str(cache), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, object] = json.loads(done.stdout)
    print(found["line"], f"({found['grown']:,} bytes for a file of {(folder / 'model.safetensors').stat().st_size:,})")
    return found


@pytest.mark.parametrize(
    ("hidden", "layers"),
    [pytest.param(256, 8, id="100 MB"), pytest.param(768, 8, id="680 MB", marks=pytest.mark.slow)],
)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_model_of_twice_the_memory_it_may_have(hidden: int, layers: int, tmp_path: Path) -> None:
    config = recipe.Model(
        hidden_size=hidden, num_layers=layers, num_heads=4, num_kv_heads=2, ffn_size=1024 if hidden < 500 else 2304,
        num_experts=8, context_length=64,
    )  # fmt: skip
    found = run_in_a_child(tmp_path / "m", config, share=0.3, tokens=12)
    size = (tmp_path / "m" / "model.safetensors").stat().st_size
    assert found["finite"]
    assert 0 < int(found["grown"]) < size / 2  # type: ignore[call-overload]
    assert int(found["hits"]) > 0  # type: ignore[call-overload]
    assert found["bytes_read"] == found["misses"] * expert_bytes(config, 2)  # type: ignore[operator]
    assert "tokens/s" in str(found["line"])
