"""The same weights in transformers' MixtralForCausalLM give the same logits, gradients and router loss."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.model import losses, names
from orfevre.model.moe import Routing
from orfevre.model.transformer import Transformer

transformers = pytest.importorskip("transformers")

VOCAB = 97
SHAPES = [
    {"hidden_size": 32, "num_layers": 3, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "num_experts": 4},
    {
        "hidden_size": 24,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 4,
        "head_size": 10,
        "ffn_size": 20,
        "num_experts": 8,
    },
    {
        "hidden_size": 16,
        "num_layers": 1,
        "num_heads": 2,
        "num_kv_heads": 1,
        "ffn_size": 40,
        "num_experts": 1,
        "experts_per_token": 1,
    },
    {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "num_kv_heads": 1,
        "ffn_size": 24,
        "num_experts": 3,
        "tie_embeddings": True,
    },
]


def shape(**changes: Any) -> recipe.Model:
    return recipe.Model(**({"context_length": 64, "rope_theta": 10_000.0} | changes))


def mixtral(config: recipe.Model, model: Transformer) -> Any:
    """A MixtralForCausalLM with the weights of `model`, loaded as it loads a published checkpoint."""
    theirs = transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            vocab_size=model.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.ffn_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_width,
            max_position_embeddings=config.context_length,
            rms_norm_eps=config.norm_eps,
            num_local_experts=config.num_experts,
            num_experts_per_tok=config.experts_per_token,
            tie_word_embeddings=config.tie_embeddings,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        )
    )
    state = names.to_hugging_face(model.state_dict(), config)
    loaded, report = type(theirs).from_pretrained(
        None, config=theirs.config, state_dict=state, output_loading_info=True, dtype=torch.float32
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return loaded.eval()


def made(**changes: Any) -> tuple[Transformer, torch.Tensor]:
    model = build(shape(**changes), VOCAB, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():  # larger than at the start, so that mistakes show
            parameter.add_(
                0.15 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    return model, torch.randint(VOCAB, (3, 20), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("changes", SHAPES)
def test_logits_equal_those_of_mixtral_for_causal_lm(changes: dict[str, Any]) -> None:
    model, ids = made(**changes)
    theirs = mixtral(model.config, model)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(input_ids=ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", SHAPES)
def test_loss_and_gradients_equal_those_of_mixtral_for_causal_lm(changes: dict[str, Any]) -> None:
    model, ids = made(**changes, aux_loss_weight=0.5, z_loss_weight=0.0)
    theirs = mixtral(model.config, model)
    out = theirs(input_ids=ids[:, :-1], output_router_logits=True)
    entropy = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), ids[:, 1:].flatten())
    balance = balance_of_layers(out.router_logits, model.config)
    (entropy + 0.5 * balance).backward()
    ours = model.losses(ids[:, :-1], ids[:, 1:])
    ours.total.backward()

    assert ours.cross_entropy.item() == pytest.approx(entropy.item(), rel=1e-5)
    assert ours.load_balancing.item() == pytest.approx(balance.item(), rel=1e-5)
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    if model.config.tie_embeddings:
        grads["output.weight"] = grads["embedding.weight"]
    found = names.to_hugging_face(grads, model.config)
    wanted = published_names({name: parameter.grad for name, parameter in theirs.named_parameters()})
    assert found.keys() == wanted.keys()
    for name in found:
        torch.testing.assert_close(
            found[name], wanted[name], atol=1e-5, rtol=1e-3, msg=lambda text, name=name: name + text
        )


def published_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers 5 stacks experts in memory; undo that."""
    flat = {}
    for name, tensor in state.items():
        if name.endswith("mlp.experts.gate_up_proj"):
            stem = name.replace("mlp.experts.gate_up_proj", "block_sparse_moe.experts")
            for e, expert in enumerate(tensor):
                flat[f"{stem}.{e}.w1.weight"], flat[f"{stem}.{e}.w3.weight"] = expert.chunk(2)
        elif name.endswith("mlp.experts.down_proj"):
            stem = name.replace("mlp.experts.down_proj", "block_sparse_moe.experts")
            flat |= {f"{stem}.{e}.w2.weight": expert for e, expert in enumerate(tensor)}
        else:
            flat[name.replace("mlp.gate", "block_sparse_moe.gate")] = tensor
    return flat


def balance_of_layers(logits: Sequence[torch.Tensor], config: recipe.Model) -> torch.Tensor:
    """transformers' loss of each layer on its own, their mean: given all layers at once it pools them."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    layers = [load_balancing_loss_func((layer,), config.num_experts, config.experts_per_token) for layer in logits]
    return torch.stack(layers).mean()


def test_load_balancing_is_transformers_of_each_layer() -> None:
    model, ids = made(**SHAPES[0])
    _, routings = model.hidden(ids)
    theirs = balance_of_layers([routing.logits for routing in routings], model.config)
    torch.testing.assert_close(losses.load_balancing(routings), theirs)


def test_a_layer_that_leans_one_way_is_not_forgiven_for_one_that_leans_the_other() -> None:
    def leaning(expert: int) -> Routing:
        logits = torch.zeros(8, 2)
        logits[:, expert] = 3.0
        return Routing(logits, logits.softmax(-1), torch.ones(8, 1), torch.full((8, 1), expert))

    assert losses.load_balancing([leaning(0), leaning(1)]) > 1.9  # pooled, the two would pass for even: 1


@pytest.mark.parametrize("changes", SHAPES)
def test_names_go_there_and_back(changes: dict[str, Any]) -> None:
    model, _ = made(**changes)
    state = model.state_dict()
    there = names.to_hugging_face(state, model.config)
    back = names.from_hugging_face(there, model.config)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    with pytest.raises(ValueError, match="extra"):
        names.from_hugging_face(there | {"extra": torch.zeros(1)}, model.config)
    with pytest.raises(KeyError, match=r"experts\.0\.w1"):
        names.from_hugging_face({n: t for n, t in there.items() if "experts.0.w1" not in n}, model.config)
