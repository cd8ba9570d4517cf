"""What the model's tests share: small models, and transformers' models with the same weights."""

from typing import Any

import torch
import transformers
from hypothesis import strategies as st

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.model.transformer import Transformer
from orfevre.weights.state import to_hugging_face

VOCAB = 97
GROUPED = {"hidden_size": 32, "num_layers": 3, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 48, "num_experts": 4}
SHAPES: list[dict[str, Any]] = [
    GROUPED,
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
    GROUPED | {"sliding_window": 7},
    GROUPED | {"ffn_size": 8, "num_experts": 24, "experts_per_token": 12},  # fine-grained
]


def shape(**changes: Any) -> recipe.Model:
    return recipe.Model(**({"context_length": 64, "rope_theta": 10_000.0} | changes))


def made(device: torch.device | str = "cpu", noise: float = 0.15, **changes: Any) -> tuple[Transformer, torch.Tensor]:
    """A model whose weights are larger than at the start, so that mistakes show, and ids `[3, 20]`."""
    model = build(shape(**changes), VOCAB, seed=3)
    with torch.no_grad():
        for seed, parameter in enumerate(model.parameters()):  # no two alike, so that a mix-up of two shows
            generator = torch.Generator().manual_seed(seed)
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
    ids = torch.randint(VOCAB, (3, 20), generator=torch.Generator().manual_seed(5))
    return model.to(device), ids.to(device)


def mixtral_config(config: recipe.Model, vocab_size: int) -> Any:
    return transformers.MixtralConfig(
        vocab_size=vocab_size,
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
        sliding_window=config.sliding_window or None,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
    )


def mixtral(model: Transformer) -> Any:
    """A MixtralForCausalLM with the weights of `model`, loaded as it loads a published checkpoint."""
    state = to_hugging_face(model.state_dict(), model.config)
    loaded, report = transformers.MixtralForCausalLM.from_pretrained(
        None,
        config=mixtral_config(model.config, model.vocab_size),
        state_dict={name: tensor.cpu() for name, tensor in state.items()},
        output_loading_info=True,
        dtype=torch.float32,
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return loaded.eval().to(model.embedding.weight.device)


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


@st.composite
def options(draw: st.DrawFn) -> recipe.Model:
    """Small shapes with any combination of options."""
    kv_heads = draw(st.integers(1, 2))
    experts = draw(st.integers(1, 5))
    chosen = draw(st.integers(1, min(experts, 3)))
    return recipe.Model(
        hidden_size=draw(st.sampled_from([4, 6])),
        num_layers=draw(st.integers(1, 2)),
        num_heads=kv_heads * draw(st.integers(1, 2)),
        num_kv_heads=kv_heads,
        head_size=draw(st.sampled_from([2, 4])),
        ffn_size=draw(st.integers(1, 4)),
        num_experts=experts,
        experts_per_token=chosen,
        shared_experts=draw(st.integers(0, 2)),
        router=draw(st.sampled_from(["softmax", "sigmoid"])),
        balancing=draw(st.sampled_from(["loss", "bias"])) if chosen < experts else "loss",
        tie_embeddings=draw(st.booleans()),
        sliding_window=draw(st.sampled_from([0, 1, 3])),
        qk_norm=draw(st.booleans()),
        mtp_depth=draw(st.integers(0, 2)),
        context_length=16,
    )
