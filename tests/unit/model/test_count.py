"""Counts against the published Mixtral 8x7B and against transformers' own model on the meta device."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.reference import options
from torch.utils.flop_counter import FlopCounterMode

from orfevre.engine.build import build
from orfevre.model import attention, count, moe
from orfevre.model.attend import visible
from orfevre.recipe import Model

MIXTRAL = Model(
    hidden_size=4096,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    ffn_size=14336,
    num_experts=8,
    experts_per_token=2,
    context_length=32768,
)
SHAPES = [
    Model(),
    Model(hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=128, num_experts=4),
    Model(hidden_size=48, num_layers=1, num_heads=3, num_kv_heads=1, head_size=10, ffn_size=40, num_experts=3),
    Model(hidden_size=32, num_layers=3, num_heads=4, num_kv_heads=4, ffn_size=64, tie_embeddings=True),
    Model(num_experts=1, experts_per_token=1),
    MIXTRAL,
]


def _config(model: Model, vocab_size: int) -> transformers.MixtralConfig:
    return transformers.MixtralConfig(
        vocab_size=vocab_size,
        hidden_size=model.hidden_size,
        intermediate_size=model.ffn_size,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.num_heads,
        num_key_value_heads=model.num_kv_heads,
        head_dim=model.head_width,
        num_local_experts=model.num_experts,
        num_experts_per_tok=model.experts_per_token,
        attn_implementation="eager",
        experts_implementation="eager",
        tie_word_embeddings=model.tie_embeddings,
    )


def test_mixtral_8x7b_has_its_published_size():
    counted = count.parameters(MIXTRAL, 32_000)
    assert counted.total == 46_702_792_704
    assert counted.active == pytest.approx(12.9e9, rel=0.003)


@pytest.mark.parametrize("model", SHAPES)
@pytest.mark.parametrize("vocab_size", [300, 32_000])
def test_total_is_what_transformers_builds(model: Model, vocab_size: int):
    with torch.device("meta"):
        built = transformers.MixtralForCausalLM(_config(model, vocab_size))
    assert count.parameters(model, vocab_size).total == sum(weight.numel() for weight in built.parameters())


@pytest.mark.parametrize("model", SHAPES)
def test_parts_sum_to_the_total(model: Model):
    counted = count.parameters(model, 1000)
    parts = counted.embedding + counted.attention + counted.experts + counted.router + counted.norms + counted.mtp
    assert parts == counted.total
    dense = model.model_copy(update={"num_experts": model.experts_per_token})
    router_rest = counted.router - count.parameters(dense, 1000).router
    assert counted.active == count.parameters(dense, 1000).total + router_rest


def test_mixtral_flops_are_six_per_active_matrix_weight_plus_causal_attention():
    counted = count.parameters(MIXTRAL, 32_000)
    matrices = counted.active - 4096 * 32_000 - counted.norms
    attention = 12 * 32 * 32 * 128 * 4096 / 2
    assert count.flops_per_token(MIXTRAL, 32_000, 4096) == 6 * matrices + attention


def test_forward_flops_are_what_torch_counts():
    """torch's counter over transformers' model, all experts at work. It does not halve attention."""
    model = Model(hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=96, num_experts=2)
    length, vocab_size = 128, 500
    built = transformers.MixtralForCausalLM(_config(model, vocab_size)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(torch.zeros(1, length, dtype=torch.long))
    attention = 4 * model.num_layers * model.num_heads * model.head_width * length * length
    ours = length * count.forward_flops_per_token(model, vocab_size, length)
    assert ours + attention / 2 == counter.get_total_flops()


@given(layers=st.integers(1, 20), experts=st.integers(2, 64), length=st.integers(1, 8192))
def test_idle_experts_cost_no_flops_but_their_router_weights(layers: int, experts: int, length: int):
    small, large = Model(num_layers=layers, num_experts=2), Model(num_layers=layers, num_experts=experts)
    extra = count.flops_per_token(large, 1000, length) - count.flops_per_token(small, 1000, length)
    assert extra == 6 * layers * small.hidden_size * (experts - 2)
    assert count.flops_per_token(small, 1000, length) == 3 * count.forward_flops_per_token(small, 1000, length)


@given(devices=st.integers(2, 2048))
def test_sharding_conserves_state_and_only_shrinks_a_device(devices: int):
    one = count.memory(MIXTRAL, 32_000, 4096, num_devices=1)
    many = count.memory(MIXTRAL, 32_000, 4096, num_devices=devices)
    assert many.optimiser * devices == pytest.approx(8 * count.parameters(MIXTRAL, 32_000).total)
    assert many.activations == one.activations
    assert many.total < one.total
    assert many.total == many.weights + many.gradients + many.optimiser + many.activations


@settings(deadline=None, max_examples=60)
@given(options(), st.integers(1, 40))
def test_every_part_is_what_the_model_holds_whatever_the_options(model: Model, vocab_size: int):
    counted = count.parameters(model, vocab_size)
    held = {name: weight.numel() for name, weight in build(model, vocab_size, seed=1).named_parameters()}

    def holding(*marks: str) -> int:
        return sum(size for name, size in held.items() if name.startswith("blocks") and any(m in name for m in marks))

    mtp = sum(size for name, size in held.items() if name.startswith("mtp"))
    norms = holding("norm.weight") + held["norm.weight"]
    experts = holding("moe.w13", "moe.w2", "moe.shared")
    assert counted.total == sum(held.values())
    assert counted.mtp == mtp
    assert counted.norms == norms
    assert counted.experts == experts
    assert counted.router == holding("moe.gate")
    assert counted.attention == holding("attention.qkv", "attention.out")
    idle = holding("moe.w13", "moe.w2") * (model.num_experts - model.experts_per_token) // model.num_experts
    assert counted.active == sum(held.values()) - idle - mtp


@settings(deadline=None, max_examples=40)
@given(options(), st.integers(4, 12))
def test_forward_flops_are_what_torch_counts_in_ours_whatever_the_options(model: Model, length: int):
    ids = torch.zeros(1, length, dtype=torch.long)
    built = build(model, 11, seed=1)
    with written_out(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(ids)
    assert length * whole_square(model, count.forward_flops_per_token(model, 11, length), length) == pytest.approx(
        counter.get_total_flops()
    )
    with written_out(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        h, _ = built.stream(ids)
        for depth, head in enumerate(built.mtp, start=1):
            left = length - depth
            h, normed, _ = head(h[:, :left], built.embedding(ids[:, depth:]), built.cos[:left], built.sin[:left])
            built.output(normed)
    ours = count.flops_per_token(model, 11, length) / 3 - 2 * model.hidden_size * 11  # the main head was not called
    squares = sum(whole_square(model, 0.0, length - d, 1) * (length - d) for d in range(1, model.mtp_depth + 1))
    assert length * whole_square(model, ours, length) + squares == pytest.approx(counter.get_total_flops())


def whole_square(model: Model, flops: float, length: int, layers: int | None = None) -> float:
    """A token's FLOPs with the pairs that a mask hides added: torch counts the whole square of scores."""
    window = min(model.sliding_window or length, length)
    hidden_pairs = length - window * (2 * length - window) / (2 * length)
    return flops + (layers or model.num_layers) * 4 * model.num_heads * model.head_width * hidden_pairs


@contextmanager
def written_out() -> Iterator[None]:
    """Experts and attention as plain matrix products, which torch's counter sees whatever the fast path is."""

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, past: int, **_: object) -> torch.Tensor:
        groups = q.shape[1] // k.shape[1]
        return (q @ k.repeat_interleave(groups, 1).mT).softmax(-1) @ v.repeat_interleave(groups, 1)

    def run_experts(
        x: torch.Tensor, w13: torch.Tensor, w2: torch.Tensor, _: object, chosen: torch.Tensor
    ) -> torch.Tensor:
        for e, (first, second) in enumerate(zip(w13, w2, strict=True)):
            rows = x[(chosen == e).any(1)]
            (rows @ first.t())[:, : second.shape[1]] @ second.t()
        return x

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "attend", attend)
        patch.setattr(moe, "run_experts", run_experts)
        yield


@given(st.integers(1, 50), st.integers(1, 60))
def test_the_pairs_in_a_window_are_those_of_its_mask_less_half_the_diagonal(length: int, window: int):
    """Without a window the convention is S^2/2: half the square, which leaves out half the diagonal."""
    model = Model(sliding_window=window)
    whole = count.forward_flops_per_token(model, 10, length) - count.forward_flops_per_token(
        model.model_copy(update={"num_layers": 0}), 10, length
    )
    matrices = whole - 4 * model.num_layers * 256 * pairs_seen(length, window)
    assert matrices == pytest.approx(
        count.forward_flops_per_token(Model(), 10, length)
        - count.forward_flops_per_token(Model().model_copy(update={"num_layers": 0}), 10, length)
        - 4 * model.num_layers * 256 * length / 2
    )


def pairs_seen(length: int, window: int) -> float:
    """Pairs a token, from the mask that attention uses."""
    return (int(visible(length, 0, window=window).sum()) - min(window, length) / 2) / length


@settings(deadline=None, max_examples=30)
@given(options(), st.integers(1, 40))
def test_memory_is_of_the_weights_that_are_held(model: Model, vocab_size: int):
    built = build(model, vocab_size, seed=1)
    weights = sum(weight.numel() for weight in built.parameters())
    block = sum(weight.numel() for weight in built.blocks[0].parameters() if weight.ndim > 1)
    gathered = max(block, built.output.weight.numel())
    one = count.memory(model, vocab_size, 8)
    assert one.optimiser == 8 * weights
    assert one.weights == 4 * weights + 2 * 2 * gathered
    assert one.gradients == 4 * weights + 2 * gathered
