"""What newer open models add: against transformers' Qwen3-MoE and DeepSeek-V3 where those have it, else by its law."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.reference import GROUPED, VOCAB, made, options, shape
from transformers import DeepseekV3Config, Qwen3MoeConfig, Qwen3MoeForCausalLM
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.errors import UserError
from orfevre.model.attention import KeyValueCache
from orfevre.model.moe import MixtureOfExperts
from orfevre.model.transformer import Transformer


def test_qk_norm_is_that_of_qwen3(device: torch.device) -> None:
    model, ids = made(device, **GROUPED, qk_norm=True)
    config = model.config
    theirs = Qwen3MoeForCausalLM(
        Qwen3MoeConfig(
            vocab_size=VOCAB,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_width,
            moe_intermediate_size=config.ffn_size,
            num_experts=config.num_experts,
            num_experts_per_tok=config.experts_per_token,
            norm_topk_prob=True,
            rms_norm_eps=config.norm_eps,
            max_position_embeddings=config.context_length,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        )
    ).to(device)
    state = {
        "model.embed_tokens.weight": model.embedding.weight,
        "model.norm.weight": model.norm.weight,
        "lm_head.weight": model.output.weight,
    }
    for index, block in enumerate(model.blocks):
        sizes = [config.num_heads * config.head_width, *[config.num_kv_heads * config.head_width] * 2]
        q, k, v = block.attention.qkv.weight.split(sizes)  # type: ignore[operator,union-attr]
        state |= {
            f"model.layers.{index}.{name}": tensor
            for name, tensor in {
                "self_attn.q_proj.weight": q,
                "self_attn.k_proj.weight": k,
                "self_attn.v_proj.weight": v,
                "self_attn.o_proj.weight": block.attention.out.weight,
                "self_attn.q_norm.weight": block.attention.q_norm.weight,
                "self_attn.k_norm.weight": block.attention.k_norm.weight,
                "input_layernorm.weight": block.attention_norm.weight,
                "post_attention_layernorm.weight": block.moe_norm.weight,
                "mlp.gate.weight": block.moe.gate.weight,
                "mlp.experts.gate_up_proj": block.moe.w13,
                "mlp.experts.down_proj": block.moe.w2,
            }.items()
        }
    theirs.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs.eval()(input_ids=ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shared", [1, 3])
def test_sigmoid_routing_bias_and_shared_experts_are_those_of_deepseek_v3(shared: int, device: torch.device) -> None:
    config = shape(**GROUPED, router="sigmoid", balancing="bias", shared_experts=shared)
    ours = layer(config).to(device)
    theirs = DeepseekV3MoE(
        DeepseekV3Config(
            hidden_size=config.hidden_size,
            moe_intermediate_size=config.ffn_size,
            n_routed_experts=config.num_experts,
            num_local_experts=config.num_experts,
            num_experts_per_tok=config.experts_per_token,
            n_shared_experts=shared,
            n_group=1,
            topk_group=1,
            routed_scaling_factor=1.0,
            norm_topk_prob=True,
        )
    ).to(device)
    w1, w3 = ours.shared_w13.chunk(2)
    theirs.load_state_dict(
        {
            "gate.weight": ours.gate.weight,
            "gate.e_score_correction_bias": ours.balance_bias,
            "experts.gate_up_proj": ours.w13,
            "experts.down_proj": ours.w2,
            "shared_experts.gate_proj.weight": w1,
            "shared_experts.up_proj.weight": w3,
            "shared_experts.down_proj.weight": ours.shared_w2,
        }
    )
    x = torch.randn(60, config.hidden_size, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        y, routing = ours(x)
        torch.testing.assert_close(y, theirs(x[None])[0], atol=1e-4, rtol=1e-4)
        ours.balance_bias.zero_()
        assert not torch.equal(ours.route(x).chosen, routing.chosen)  # the bias had a say


def layer(config: recipe.Model, seed: int = 1) -> MixtureOfExperts:
    """One layer with large weights and, where it has one, a bias."""
    made_layer = build(config, VOCAB, seed).blocks[0].moe
    assert isinstance(made_layer, MixtureOfExperts)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made_layer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        if made_layer.biased:
            made_layer.balance_bias.normal_(std=0.3, generator=generator)
    return made_layer


@settings(deadline=None, max_examples=40)
@given(options(), st.integers(1, 9), st.integers(0, 99))
def test_the_fast_layer_is_the_naive_one_whatever_the_options(config: recipe.Model, tokens: int, seed: int) -> None:
    made_layer = layer(config, seed).double()
    results = []
    for path in (made_layer.forward, made_layer.forward_naive):
        x = torch.randn(tokens, config.hidden_size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        x.requires_grad_()
        made_layer.zero_grad()
        y, _ = path(x)
        (y * torch.arange(config.hidden_size)).sum().backward()
        results.append([y, x.grad, *(parameter.grad for parameter in made_layer.parameters())])
    for fast, naive in zip(*results, strict=True):
        torch.testing.assert_close(fast, naive)


@settings(deadline=None, max_examples=40)
@given(options(), st.integers(1, 30), st.integers(0, 99))
def test_routing_keeps_its_laws_whatever_the_options(config: recipe.Model, tokens: int, seed: int) -> None:
    made_layer = layer(config, seed)
    x = torch.randn(tokens, config.hidden_size, generator=torch.Generator().manual_seed(seed))
    real = torch.arange(tokens) % 3 > 0
    routing = made_layer.route(x, real)
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(tokens))
    torch.testing.assert_close(routing.probabilities.sum(1), torch.ones(tokens))
    picked = routing.probabilities.gather(1, routing.chosen)  # the bias is in the choice, never in the weights
    torch.testing.assert_close(routing.weights, picked / picked.sum(1, keepdim=True))
    assert all(len(set(row)) == config.experts_per_token for row in routing.chosen.tolist())
    expected = torch.bincount(routing.chosen[real].flatten(), minlength=config.num_experts)
    assert torch.equal(routing.counts(), expected)


@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
def test_weights_stay_finite_where_probabilities_underflow(router: str) -> None:
    made_layer = layer(shape(**GROUPED, router=router, balancing="bias"))
    with torch.no_grad():
        made_layer.gate.weight.copy_(torch.arange(4.0)[:, None].expand_as(made_layer.gate.weight))
        made_layer.balance_bias.copy_(torch.tensor([9.0, 8.0, 0.0, 0.0]))
    routing = made_layer.route(torch.full((2, 32), -50.0))
    assert routing.chosen.tolist() == [[0, 1]] * 2
    torch.testing.assert_close(routing.weights, torch.tensor([[1.0, 0.0]] * 2))
    routing = made_layer.route(torch.full((2, 32), 50.0))
    expected = [0.0, 1.0] if router == "softmax" else [1 / 3, 2 / 3]  # of sigmoids 1/2 and 1
    torch.testing.assert_close(routing.weights, torch.tensor([expected] * 2))
    assert routing.probabilities.isfinite().all()


def test_fine_grained_experts_hold_any_coarse_model() -> None:
    """Each expert cut into four with the same router row, k times as many chosen: the same function (arXiv 2401.06066,
    section 3.1), up to the factor that renormalisation takes."""
    coarse = layer(shape(**GROUPED))
    fine = layer(shape(**(GROUPED | {"ffn_size": 12, "num_experts": 16, "experts_per_token": 8})))
    w1, w3 = coarse.w13.chunk(2, dim=1)
    with torch.no_grad():
        fine.gate.weight.copy_(coarse.gate.weight.repeat_interleave(4, 0))
        fine.w13.copy_(torch.cat([w.reshape(16, 12, 32) for w in (w1, w3)], dim=1))
        fine.w2.copy_(4 * coarse.w2.view(4, 32, 4, 12).transpose(1, 2).reshape(16, 32, 12))
        x = torch.randn(50, 32, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(fine(x)[0], coarse(x)[0], atol=1e-4, rtol=1e-4)


def test_the_bias_moves_by_its_rate_towards_the_even_load() -> None:
    made_layer = layer(shape(**GROUPED, balancing="bias", bias_update_rate=0.25))
    before = made_layer.balance_bias.clone()
    made_layer.balance(torch.tensor([0, 10, 20, 10]))
    torch.testing.assert_close(made_layer.balance_bias - before, torch.tensor([0.25, 0.0, -0.25, 0.0]))


def test_the_bias_evens_a_load_that_no_loss_is_asked_to() -> None:
    made_layer = layer(shape(**GROUPED, router="sigmoid", balancing="bias", bias_update_rate=0.01))
    made_layer.balance_bias.zero_()
    x = torch.randn(400, 32, generator=torch.Generator().manual_seed(0)) + 0.5

    def excess() -> float:
        counts = made_layer.route(x).counts().float()
        return float(counts.max() / counts.mean())

    start = excess()
    for _ in range(200):
        made_layer.balance(made_layer.route(x).counts())
    assert start > 1.3
    assert excess() < 1.05


def test_the_balancing_loss_is_minimised_only_where_it_is_asked_for() -> None:
    totals = {}
    for balancing in ("loss", "bias"):
        model, ids = made(**GROUPED, balancing=balancing, aux_loss_weight=10.0, z_loss_weight=0.0)
        found = model.losses(ids[:, :-1], ids[:, 1:])
        totals[balancing] = float(found.total.detach() - found.cross_entropy)
        assert found.load_balancing.item() >= 1.9
    assert totals["loss"] > 19
    assert totals["bias"] == pytest.approx(0, abs=1e-5)


def test_a_block_that_looks_ahead_is_the_equations_of_the_paper() -> None:
    """DeepSeek-V3, eq. 21-25, written out for each depth."""
    model, ids = made(**GROUPED, mtp_depth=2, mtp_loss_weight=0.7, aux_loss_weight=0.0, z_loss_weight=0.0)
    ids, targets = ids[:, :-1], ids[:, 1:]
    entropies = []
    with torch.no_grad():
        h, _ = model.stream(ids)
        for k, head in enumerate(model.mtp, start=1):
            length = ids.shape[1] - k
            joined = torch.cat([head.hidden_norm(h[:, :length]), head.embedding_norm(model.embedding(ids[:, k:]))], -1)
            h, _ = head.block(joined @ head.project.weight.t(), model.cos[:length], model.sin[:length])
            logits = model.output(head.norm(h))
            for i in (0, 5, length - 1):  # position i stands for token i and predicts token i + k + 1
                entropies.append(torch.nn.functional.cross_entropy(logits[:, i], targets[:, i + k], reduction="none"))
            expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, k:].flatten())
            entropies[-3:] = [expected]
        found = model.losses(ids, targets)
    torch.testing.assert_close(found.mtp, torch.stack(entropies).mean())
    torch.testing.assert_close(found.total, found.cross_entropy + 0.7 * found.mtp)
    assert found.expert_counts.shape == (5, 4)


def test_looking_ahead_never_sees_what_it_predicts() -> None:
    """A change of token j leaves the losses of depth d at positions that predict tokens before j as they were."""
    model, ids = made(**GROUPED, mtp_depth=2)
    changed = ids.clone()
    changed[:, 12] = (ids[:, 12] + 1) % VOCAB
    rows = []
    for tokens in (ids, changed):
        with torch.no_grad():
            h, _ = model.stream(tokens)
            outputs = []
            for k, head in enumerate(model.mtp, start=1):
                length = 20 - k
                h, normed, _ = head(
                    h[:, :length], model.embedding(tokens[:, k:]), model.cos[:length], model.sin[:length]
                )
                outputs.append(normed)
            rows.append(outputs)
    for k, (before, after) in enumerate(zip(*rows, strict=True), start=1):
        torch.testing.assert_close(before[:, : 12 - k], after[:, : 12 - k])  # position i is given token i + k
        assert (before[:, 12 - k] - after[:, 12 - k]).abs().max() > 1e-3


@settings(deadline=None, max_examples=30)
@given(options(), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 99))
def test_the_cache_gives_what_recomputation_gives_whatever_the_options(
    config: recipe.Model, pieces: list[int], seed: int
) -> None:
    model = build(config, 11, seed).double().eval()
    ids = torch.randint(11, (2, sum(pieces)), generator=torch.Generator().manual_seed(seed))
    caches = [KeyValueCache(16) for _ in model.blocks]
    with torch.no_grad():
        cached = torch.cat([model(piece, caches) for piece in ids.split(pieces, dim=1)], dim=1)
        torch.testing.assert_close(cached, model(ids))


def test_a_window_forgets_and_what_it_forgets_changes_nothing() -> None:
    """One layer of window 5: position 12 sees 8 to 12. (Layers add up: three of them see three windows.)"""
    model, ids = made(**(GROUPED | {"num_layers": 1}), sliding_window=5)
    model.double()
    for changed, seen in ((7, False), (8, True)):
        other = ids.clone()
        other[:, changed] = (ids[:, changed] + 1) % VOCAB
        with torch.no_grad():
            difference = (model(ids) - model(other))[:, 12].abs().max()
        assert (difference > 1e-3) == seen, changed


@pytest.mark.parametrize("changes", [{}, {"shared_experts": 2, "qk_norm": True, "router": "sigmoid", "mtp_depth": 1}])
def test_options_start_at_the_documented_scale(changes: dict[str, Any]) -> None:
    model = build(recipe.Model(**changes), 500, seed=1)
    config = model.config
    ids = torch.randint(500, (2, 32), generator=torch.Generator().manual_seed(0))
    found = model.losses(ids[:, :-1], ids[:, 1:])
    assert found.cross_entropy.item() == pytest.approx(math.log(500), abs=0.1)
    if config.mtp_depth:
        assert found.mtp.item() == pytest.approx(math.log(500), abs=0.1)
        moe = model.blocks[0].moe
        assert moe.shared_w13.std().item() == pytest.approx(config.hidden_size**-0.5, rel=0.02)  # type: ignore[union-attr]
        spread = (2 * config.ffn_size * 2 * config.num_layers) ** -0.5
        assert moe.shared_w2.std().item() == pytest.approx(spread, rel=0.02)  # type: ignore[union-attr]
        project = model.mtp[0].project.weight
        assert project.std().item() == pytest.approx((2 * config.hidden_size) ** -0.5, rel=0.02)  # type: ignore[union-attr]


def test_options_that_are_off_add_no_state_and_draw_the_same_weights() -> None:
    assert not list(build(shape(), VOCAB, seed=1).blocks[0].moe.named_buffers())  # type: ignore[union-attr]
    plain, optioned = build(shape(**GROUPED), VOCAB, 1), build(shape(**GROUPED, mtp_depth=1, qk_norm=True), VOCAB, 1)
    assert torch.equal(plain.blocks[0].moe.w2, optioned.blocks[0].moe.w2)  # type: ignore[arg-type,union-attr]


@pytest.mark.parametrize("bad", [-1, VOCAB])
@pytest.mark.parametrize("door", ["forward", "losses", "targets", "token_losses"])
def test_ids_outside_the_vocabulary_are_named(door: str, bad: int) -> None:
    model, ids = made(**GROUPED)
    wrong = ids.clone()
    wrong[1, 4] = bad
    doors = {
        "forward": lambda: model(wrong),
        "losses": lambda: model.losses(wrong, ids),
        "targets": lambda: model.losses(ids, wrong),
        "token_losses": lambda: model.token_losses(wrong, ids),
    }
    with pytest.raises(UserError, match=f"token id {bad} is outside the vocabulary of {VOCAB}"):
        doors[door]()


def test_a_sequence_longer_than_the_context_is_refused() -> None:
    model, _ = made(**GROUPED)
    with pytest.raises(UserError, match="65 tokens is longer than the model's context_length 64"):
        model(torch.zeros(1, 65, dtype=torch.int64))
    caches = [KeyValueCache(64) for _ in model.blocks]
    with torch.no_grad():
        model(torch.zeros(1, 60, dtype=torch.int64), caches)
        with pytest.raises(UserError, match="65 tokens"):
            model(torch.zeros(1, 5, dtype=torch.int64), caches)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sliding_window": -1}, "sliding_window"),
        ({"shared_experts": -1}, "shared_experts"),
        ({"router": "tanh"}, "router"),
        ({"balancing": "bias", "num_experts": 2}, "nothing to balance"),
        ({"mtp_depth": 512}, "looks past the end"),
        ({"balancing": "bias", "bias_update_rate": 0.0}, "bias_update_rate"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        recipe.Model(**changes)


def test_a_sequence_too_short_to_look_ahead_is_refused() -> None:
    model, ids = made(**GROUPED, mtp_depth=3)
    assert isinstance(model, Transformer)
    with pytest.raises(UserError, match="too short for mtp_depth 3"):
        model.losses(ids[:, :3], ids[:, 1:4])
