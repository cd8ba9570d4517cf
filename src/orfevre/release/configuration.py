"""The JSON files beside the weights that Hugging Face's transformers reads: model, generation, tokenizer."""

from collections.abc import Mapping
from typing import Any

from orfevre.data.shards import Index
from orfevre.recipe import Model


def model(config: Model, vocab_size: int, index: Index, dtype: str) -> dict[str, Any]:
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
        "sliding_window": None,
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
        **_special_ids(index),
    }


def generation(index: Index) -> dict[str, Any]:
    """generation_config.json: where a text begins and ends."""
    return _special_ids(index)


def tokenizer_settings(config: Model) -> dict[str, Any]:
    """tokenizer_config.json: tokenizer.json does the work, this names the special tokens.

    A special token written out in a text stays plain text, as it was in training.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.context_length,
    }


def tokenizer(table: Mapping[str, Any], index: Index) -> dict[str, Any]:
    """tokenizer.json for users: the trained one, which now puts `<s>` before a text, as every training document had."""
    begin, first = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 0}}
    return {
        **table,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, first],
            "pair": [begin, first, second],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [index.bos], "tokens": ["<s>"]}},
        },
    }


def _special_ids(index: Index) -> dict[str, int]:
    return {"bos_token_id": index.bos, "eos_token_id": index.eos, "pad_token_id": index.pad}
