"""A tokenizer in a GGUF file's metadata, in llama.cpp's terms."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orfevre import console
from orfevre.data.tokenizer import PATTERN
from orfevre.errors import InputError

from . import tokenizer
from .opened import Opened

if TYPE_CHECKING:
    from gguf import GGUFWriter

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace("{1,3}", "")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
"""llama.cpp's token types."""


def write(writer: "GGUFWriter", source: Opened) -> None:
    """The source's tokenizer, or none with a warning. Raises InputError for one that llama.cpp could not follow."""
    if source.tokenizer_path is None:
        console.warn(f"{source.path}: no tokenizer there, so the file has none: llama.cpp will take ids, not text")
        writer.add_tokenizer_model("no_vocab")
        return
    made = tokenizer.load(source.tokenizer_path)
    table: dict[str, Any] = json.loads(made.to_str())
    model = table["model"]
    if model["type"] != "BPE":
        raise InputError(f"{source.tokenizer_path}: a {model['type']} tokenizer, and GGUF is written with BPE; use hf")
    tokens = _tokens(source, made, table)
    if model.get("byte_fallback"):
        _sentencepiece(writer, tokens, table)
    else:
        _byte_level(writer, source.tokenizer_path, tokens, table)
    ids = {**tokenizer.special_ids(made), **source.special}
    for key, add in (
        ("bos_token_id", writer.add_bos_token_id),
        ("eos_token_id", writer.add_eos_token_id),
        ("pad_token_id", writer.add_pad_token_id),
    ):
        if isinstance(ids.get(key), int):
            add(ids[key])
    writer.add_add_bos_token("bos_token_id" in ids)
    writer.add_add_eos_token(False)


def _tokens(source: Opened, made: Any, table: dict[str, Any]) -> list[tuple[str, int]]:
    """Text and type of every id of the model; ids that the tokenizer lacks are named and never chosen."""
    vocab = made.get_vocab(with_added_tokens=True)
    if len(vocab) > source.vocab_size:
        raise InputError(
            f"{source.tokenizer_path}: {len(vocab)} tokens, and the model has {source.vocab_size}; take both of one "
            "release"
        )
    tokens = [(f"<unused_{token}>", _CONTROL) for token in range(source.vocab_size)]
    special = {entry["id"] for entry in table["added_tokens"] if entry["special"]}
    unknown = table["model"].get("unk_token")
    for text, token in vocab.items():
        kind = _CONTROL if token in special else _UNKNOWN if text == unknown else _NORMAL
        tokens[token] = (text, kind)
    return tokens


def _byte_level(writer: "GGUFWriter", path: Path, tokens: list[tuple[str, int]], table: dict[str, Any]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(path, table))
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    merges = table["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])


def _sentencepiece(writer: "GGUFWriter", tokens: list[tuple[str, int]], table: dict[str, Any]) -> None:
    """llama.cpp merges by score: the place of a token's first merge, the best of all for the first."""
    scores: dict[str, float] = {}
    for place, merge in enumerate(table["model"]["merges"]):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        scores.setdefault("".join(pair), -float(place))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([scores.get(text, -1e6) for text, _ in tokens])
    writer.add_token_types([_BYTE if _is_byte(text) else kind for text, kind in tokens])
    writer.add_add_space_prefix(True)


def _is_byte(text: str) -> bool:
    return len(text) == 6 and text.startswith("<0x") and text.endswith(">")


def _pre_tokenizer(path: Path, table: dict[str, Any]) -> str:
    """llama.cpp's name for where merges may not cross. Raises InputError when it has none."""
    whole_first = bool(table["model"].get("ignore_merges"))
    steps = (table.get("pre_tokenizer") or {}).get("pretokenizers", [table.get("pre_tokenizer") or {}])
    patterns = [step["pattern"].get("Regex") for step in steps if step.get("type") == "Split"]
    if not patterns and steps[-1].get("type") == "ByteLevel" and steps[-1].get("use_regex"):
        return "gpt-2"
    names = {
        # the same pattern under two names: llama-bpe takes a piece that is a token whole first, dbrx always merges
        _LLAMA_3: "llama-bpe" if whole_first else "dbrx",
        PATTERN: "llama-bpe" if whole_first else "dbrx",
        _QWEN_2: "qwen2",
        _TEKKEN: "tekken",
    }
    if len(patterns) != 1 or patterns[0] not in names:
        raise InputError(f"{path}: llama.cpp has no name for its pre-tokenizer ({patterns}); convert to hf")
    if patterns[0] in (PATTERN, _TEKKEN):
        console.say(
            "llama.cpp's pre-tokenizer is this one but for combining marks (Devanagari's, say), which it splits from "
            "their letters: such text gets other ids there"
        )
    return names[patterns[0]]
