"""params.json of Mistral's own layout: what it says about a model, and how it is written."""

from typing import Any

from orfevre import recipe
from orfevre.errors import InputError

from . import tables
from .tables import Table

CONTEXT_LENGTH = 32_768
"""What params.json of Mixtral 8x7B leaves unsaid."""


def read(table: Table) -> tuple[recipe.Model, int]:
    """The shape and the vocabulary's size. Raises InputError."""
    for key in ("vision_encoder", "lora", "quantization"):
        if table.get(key) is not None:
            raise InputError(f"{table.path}: {key} is set; orfevre reads plain Mixtral and Mistral models only")
    if table.get("model_type", "transformer") != "transformer":
        raise InputError(
            f"{table.path}: model_type {table.get('model_type')!r} is not an architecture orfevre runs; it reads "
            "transformers, with or without experts"
        )
    moe = table.get("moe", {"num_experts": 1, "num_experts_per_tok": 1})
    if not isinstance(moe, dict):
        raise InputError(f"{table.path}: moe is {moe!r}, not a section; take the file from the model's own release")
    experts = Table(table.path, moe)
    window = table.number("sliding_window", 0)
    values = {
        "hidden_size": table.number("dim"),
        "num_layers": table.number("n_layers"),
        "num_heads": table.number("n_heads"),
        "num_kv_heads": table.number("n_kv_heads", table.number("n_heads")),
        "head_size": table.number("head_dim", 0),
        "ffn_size": table.number("hidden_dim"),
        "num_experts": experts.number("num_experts"),
        "experts_per_token": experts.number("num_experts_per_tok"),
        "vocab_size": table.number("vocab_size"),
        "context_length": table.number("max_seq_len", table.number("max_position_embeddings", CONTEXT_LENGTH)),
        # the default that mistral-inference takes: models with a window are older than the larger base
        "rope_theta": table.number("rope_theta", 1e4 if window else 1e6),
        "norm_eps": table.number("norm_eps"),
        "tie_embeddings": table.get("tied_embeddings", False),
        "sliding_window": window,
    }
    config = tables.shape(table.path, values)
    return config, config.vocab_size


def write(config: recipe.Model, vocab_size: int) -> dict[str, Any]:
    """params.json. One expert is a dense model there, without a `moe` section."""
    params: dict[str, Any] = {
        "dim": config.hidden_size,
        "n_layers": config.num_layers,
        "head_dim": config.head_width,
        "hidden_dim": config.ffn_size,
        "n_heads": config.num_heads,
        "n_kv_heads": config.num_kv_heads,
        "norm_eps": config.norm_eps,
        "vocab_size": vocab_size,
        "rope_theta": config.rope_theta,
        "max_seq_len": config.context_length,
    }
    if config.num_experts > 1:
        params["moe"] = {"num_experts": config.num_experts, "num_experts_per_tok": config.experts_per_token}
    if config.tie_embeddings:
        params["tied_embeddings"] = True
    if config.sliding_window:
        params["sliding_window"] = config.sliding_window
    return params
