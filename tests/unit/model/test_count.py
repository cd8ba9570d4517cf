"""Counts against the published Mixtral 8x7B and against transformers' own model on the meta device."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from orfevre.model import count
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
    parts = counted.embedding + counted.attention + counted.experts + counted.router + counted.norms
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
