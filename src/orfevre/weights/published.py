"""Write a model's folder as its format wants it: weights, configuration, tokenizer."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from orfevre import console, recipe

from . import formats, huggingface, stream, tables
from . import mistral as mistral_params
from . import tokenizer as tokenizers
from . import written as writing
from .opened import Opened
from .written import Planned

BOS, EOS, PAD = "<s>", "</s>", "<pad>"

COPIED = ("generation_config.json", "chat_template.jinja", "tokenizer.model*", "tekken.json", "LICENSE*")
"""Files that are the same in every format."""


def hugging_face(
    opened: Opened, folder: Path, dtype: torch.dtype | None = None, done: Callable[[int], None] = lambda _: None
) -> None:
    """Fill an empty folder for Hugging Face's tools; for orfevre alone when Mixtral's format cannot say the model.

    `dtype` None is as stored; `done` is told the bytes of each block. Raises InputError for weights not finite.
    """
    config, vocab_size = opened.config, opened.vocab_size
    own = bool(config.beyond_mixtral)
    layout = formats.own(config, vocab_size) if own else formats.hugging_face(config, vocab_size)
    planned = stream.plan(opened, layout, dtype, done)
    writing.write(folder, planned)
    special = dict(opened.special)
    _copy(opened, folder)
    if opened.tokenizer_path is not None:
        special = _tokenizer_files(opened, opened.tokenizer_path, folder)
    write = huggingface.write_own if own else huggingface.write
    write_json(folder / "config.json", write(config, vocab_size, special, _common(planned)))


def _tokenizer_files(opened: Opened, path: Path, folder: Path) -> dict[str, object]:
    """tokenizer.json and its settings; returns the special ids. A Hugging Face release keeps the files it has."""
    made = tokenizers.load(path)
    special = {**tokenizers.special_ids(made), **opened.special}
    settings = path.with_name("tokenizer_config.json")
    if path.name == "tokenizer.json" and settings.is_file():
        shutil.copyfile(path, folder / "tokenizer.json")
        shutil.copyfile(settings, folder / "tokenizer_config.json")
        return special
    table = tables.read(path).values if path.name == "tokenizer.json" else tokenizers.to_json(made)
    if isinstance(special.get("bos_token_id"), int):
        table = with_begin(table, special["bos_token_id"])
    write_json(folder / "tokenizer.json", table)
    write_json(folder / "tokenizer_config.json", tokenizer_settings(opened.config, special))
    if not (folder / "generation_config.json").exists():
        write_json(folder / "generation_config.json", special)
    return special


def mistral(
    opened: Opened, folder: Path, dtype: torch.dtype | None = None, done: Callable[[int], None] = lambda _: None
) -> None:
    """Fill an empty folder for Mistral's own tools. The rest as `hugging_face`."""
    config, vocab_size = opened.config, opened.vocab_size
    layout = formats.mistral(config, vocab_size, router=config.num_experts > 1)
    planned = stream.plan(opened, layout, dtype, done)
    writing.write_file(folder / "consolidated.safetensors", planned)
    write_json(folder / "params.json", mistral_params.write(config, vocab_size))
    _copy(opened, folder)
    if opened.tokenizer_path is not None and not _has_mistral_tokenizer(folder):
        shutil.copyfile(opened.tokenizer_path, folder / opened.tokenizer_path.name)
        console.warn(
            f"{opened.tokenizer_path}: neither tekken.json nor tokenizer.model, so it is copied as it is; orfevre "
            "reads it there, and so does what takes a tokenizer.json, but not Mistral's own tools"
        )


def _has_mistral_tokenizer(folder: Path) -> bool:
    return (folder / "tekken.json").is_file() or bool(list(folder.glob("tokenizer.model*")))


def _copy(opened: Opened, folder: Path) -> None:
    for pattern in COPIED:
        for path in opened.path.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)


def _common(planned: list[Planned]) -> str:
    """The dtype of most of the bytes."""
    sizes: dict[torch.dtype, int] = {}
    for tensor in planned:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.num_bytes
    return str(max(sizes, key=lambda dtype: sizes[dtype])).removeprefix("torch.")


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


def with_begin(table: Mapping[str, Any], bos: int) -> dict[str, Any]:
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
