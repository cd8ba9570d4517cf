"""The tokenizer at rest: a Hugging Face tokenizer.json, byte-level BPE, with <s>, </s> and <pad>.

Special tokens written out in a text stay plain text: they are put around each document when shards are written.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, pre_tokenizers
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from orfevre import artifact
from orfevre.errors import InputError

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
UNKNOWN = "<unk>"
"""Stands for padding in tokenizers of SentencePiece's that have none: bytes are their fallback, so no text gives it."""

_ENDING = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + _ENDING + "|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + _ENDING + "|"
    r"\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where merges may not cross: o200k's pattern, which gigatoken knows. A word goes with the space or sign before it,
marks belong to their letters, capitals begin a word. But for English endings no piece has a sign after a letter, so no
merge can spell `</s>`."""

PROBE = "Aé  ß\n\t<s></s><pad> 12345 don't 文字 \u0301\U0001f600 \x00\x7f  x=[]\r\n"
"""A text that a tokenizer must give back unchanged: bits per byte mean nothing otherwise."""


class Tokenizer:
    """Text to ids and back, without loss."""

    def __init__(self, inner: HuggingFaceTokenizer, table: dict[str, Any] | None = None) -> None:
        self._inner = inner
        self.table = table or json.loads(inner.to_str())
        """tokenizer.json, parsed; not to be changed."""
        self._inner.encode_special_tokens = True  # "</s>" in a text is plain text
        self._inner.no_truncation()
        self._inner.no_padding()
        self.vocab_size: int = inner.get_vocab_size(with_added_tokens=True)
        self.bos, self.eos, self.pad = _id_of(inner, BOS), _id_of(inner, EOS), _id_of(inner, PAD, UNKNOWN)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without begin and end."""
        ids: list[int] = self._inner.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without begin and end."""
        encodings = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special tokens are left out, bytes that are not UTF-8 become U+FFFD."""
        text: str = self._inner.decode(list(ids), skip_special_tokens=True)
        return text

    def save(self, path: Path) -> None:
        """Write tokenizer.json aside, then rename."""
        artifact.write_text(path, self._inner.to_str(pretty=True))


def train(batches: Iterable[Sequence[str]], vocab_size: int) -> Tokenizer:
    """Byte-level BPE (arXiv 1508.07909 over bytes) on the texts; the same texts give the same tokenizer.

    Pairs seen once are not merged, so a small corpus may give fewer than `vocab_size` entries.
    """
    inner = HuggingFaceTokenizer(BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in (BOS, EOS, PAD)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(batches, trainer)
    return Tokenizer(inner)


def load(path: Path) -> Tokenizer:
    """Read tokenizer.json. Raises InputError, with the remedy, if it is not one or cannot serve."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a tokenizer.json ({error})") from None
    try:
        inner = HuggingFaceTokenizer.from_str(text)
    except Exception as error:  # tokenizers raises bare Exception for every fault of the file
        raise InputError(
            f"{path}: not a tokenizer.json of the Hugging Face tokenizers library ({error}); convert it with "
            "transformers (AutoTokenizer.from_pretrained(...).save_pretrained(...)) or leave tokenize.file empty"
        ) from None
    return checked(path, inner)


def checked(path: Path, inner: HuggingFaceTokenizer) -> Tokenizer:
    """A tokenizer of the library's that came from `path`. Raises InputError, with the remedy, if it cannot serve."""
    table = json.loads(inner.to_str())
    _require_special_tokens(path, inner, table)
    tokenizer = Tokenizer(inner, table)
    _require_lossless(path, tokenizer)
    return tokenizer


def _id_of(inner: HuggingFaceTokenizer, *names: str) -> int:
    """Of the first of these names that it has."""
    found = next((number for name in names if (number := inner.token_to_id(name)) is not None), None)
    assert found is not None, f"{names[0]} is checked on loading and given on training"
    return found


def _require_special_tokens(path: Path, inner: HuggingFaceTokenizer, table: dict[str, Any]) -> None:
    added = table.get("added_tokens") or []
    special = {entry["content"] for entry in added if entry.get("special")}
    padding = () if table["model"].get("byte_fallback") and inner.token_to_id(UNKNOWN) is not None else (PAD,)
    if missing := [name for name in (BOS, EOS, *padding) if name not in special]:
        raise InputError(
            f"{path}: no special token {' and no '.join(missing)}; it has "
            f"{', '.join(sorted(special)[:8]) or 'none at all'}. Rename its begin, end and padding tokens to "
            f"{BOS}, {EOS}, {PAD} under added_tokens and model.vocab, or add them with "
            f'tokenizers.Tokenizer.add_special_tokens(["{BOS}", "{EOS}", "{PAD}"])'
        )
    ids = list(inner.get_vocab(with_added_tokens=True).values())
    if max(ids) >= len(ids):
        raise InputError(f"{path}: ids run to {max(ids)} but there are {len(ids)} entries; number them without gaps")


def _require_lossless(path: Path, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(PROBE)
    if {tokenizer.bos, tokenizer.eos, tokenizer.pad} & set(ids):
        raise InputError(f"{path}: text that spells {BOS} becomes the special token; its merges must not form one")
    if tokenizer.decode(ids) != PROBE:
        raise InputError(
            f"{path}: decoding what it encodes does not give the text back ({tokenizer.decode(ids)!r} for {PROBE!r}); "
            "bits per byte need a tokenizer without loss, such as byte-level BPE"
        )
