"""config.json of Hugging Face's transformers: what it says about a model, and how it is written."""

from collections.abc import Mapping
from typing import Any

from orfevre import recipe
from orfevre.errors import InputError

from . import tables
from .tables import Table

DENSE = ("mistral", "llama")
"""Model types that are one expert and no router."""

SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def read(table: Table) -> tuple[recipe.Model, int]:
    """The shape and the vocabulary's size. Raises InputError for another architecture or an option it does not have."""
    kind = table.get("model_type")
    if kind not in ("mixtral", *DENSE):
        named = ", ".join(table.get("architectures", [])) or "none"
        raise InputError(
            f"{table.path}: model_type {kind!r} (architectures: {named}) is not an architecture orfevre runs; it reads "
            f"mixtral, {', '.join(DENSE)} and its own releases"
        )
    _refuse_other_options(table)
    dense = kind in DENSE
    default_theta = 1e6 if kind == "mixtral" else 1e4
    values = {
        "hidden_size": table.number("hidden_size"),
        "num_layers": table.number("num_hidden_layers"),
        "num_heads": table.number("num_attention_heads"),
        "num_kv_heads": table.number("num_key_value_heads", table.number("num_attention_heads")),
        "head_size": table.number("head_dim", 0),
        "ffn_size": table.number("intermediate_size"),
        "num_experts": 1 if dense else table.number("num_local_experts"),
        "experts_per_token": 1 if dense else table.number("num_experts_per_tok"),
        "vocab_size": table.number("vocab_size"),
        "context_length": table.number("max_position_embeddings"),
        "rope_theta": _rope(table).get("rope_theta") or table.number("rope_theta", default_theta),
        "norm_eps": table.number("rms_norm_eps", 1e-5),
        "tie_embeddings": table.get("tie_word_embeddings", False),
        "sliding_window": table.number("sliding_window", 0),
        "aux_loss_weight": table.number("router_aux_loss_coef", 0.0),
    }
    config = tables.shape(table.path, values)
    return config, config.vocab_size


def _rope(table: Table) -> Mapping[str, Any]:
    rope = table.get("rope_parameters", table.get("rope_scaling", {}))
    return rope if isinstance(rope, Mapping) else {}


def _refuse_other_options(table: Table) -> None:
    refused = {
        "hidden_act": (table.get("hidden_act", "silu"), "silu"),
        "attention_bias": (table.get("attention_bias", False), False),
        "mlp_bias": (table.get("mlp_bias", False), False),
        "rope_type": (_rope(table).get("rope_type", _rope(table).get("type", "default")), "default"),
        "quantization_config": (table.get("quantization_config"), None),
    }
    for key, (value, wanted) in refused.items():
        if value != wanted:
            remedy = "take its unquantised release" if key == "quantization_config" else "this model needs other code"
            raise InputError(f"{table.path}: {key} is {value!r}, orfevre knows only {wanted!r}; {remedy}")


def special_ids(table: Table) -> dict[str, Any]:
    return {name: table.values[name] for name in SPECIAL_IDS if table.get(name) is not None}


def write(config: recipe.Model, vocab_size: int, special: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """config.json of a MixtralForCausalLM. The rotary base is there twice: for transformers 5 and for earlier ones."""
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "vocab_size": vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_width,
        "num_local_experts": config.num_experts,
        "num_experts_per_tok": config.experts_per_token,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        "sliding_window": config.sliding_window or None,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "router_aux_loss_coef": config.aux_loss_weight,
        "router_jitter_noise": 0.0,
        "output_router_logits": False,
        "tie_word_embeddings": config.tie_embeddings,
        "use_cache": True,
        "torch_dtype": dtype,
        **special,
    }


def write_own(config: recipe.Model, vocab_size: int, special: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """config.json of a release in our own names: the recipe's model section whole, for what Mixtral's cannot say."""
    shape = config.model_copy(update={"vocab_size": vocab_size})
    return {"model_type": "orfevre", "torch_dtype": dtype, "model": shape.model_dump(mode="json"), **special}


def read_own(table: Table) -> tuple[recipe.Model, int]:
    """The inverse of `write_own`. Raises InputError."""
    section = table.get("model")
    if not isinstance(section, dict):
        raise InputError(f"{table.path}: the section `model` is missing; take the file from the model's own release")
    config = tables.shape(table.path, section)
    return config, config.vocab_size
