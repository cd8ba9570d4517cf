"""The JSON files beside a release's weights: what transformers needs to know of the tokenizer and of generation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orfevre import recipe

BOS, EOS, PAD = "<s>", "</s>", "<pad>"


def tokenizer_settings(config: recipe.Model, special: Mapping[str, Any]) -> dict[str, Any]:
    """tokenizer_config.json: tokenizer.json does the work, this names the special tokens that there are.

    A special token written out in a text stays plain text, as it was in training.
    """
    names = {"bos": BOS, "eos": EOS, "pad": PAD}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{key}_token": name for key, name in names.items() if special.get(f"{key}_token_id") is not None},
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.context_length,
    }


def tokenizer(table: Mapping[str, Any], bos: int) -> dict[str, Any]:
    """tokenizer.json for users: the trained one, which now puts `<s>` before a text, as every training document had."""
    begin, first = {"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 0}}
    return {
        **table,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, first],
            "pair": [begin, first, second],
            "special_tokens": {BOS: {"id": BOS, "ids": [bos], "tokens": [BOS]}},
        },
    }


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
