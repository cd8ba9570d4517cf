"""Any release's tokenizer; Mistral's two kinds become a tokenizer.json with the same ids for the same text.

tekken.json is tiktoken's: tokens by rank, and the pair that makes the lowest rank is merged first; special tokens take
the first ids. tokenizer.model is SentencePiece's BPE: the pair that makes the best score is merged first, and what no
token covers falls back to bytes.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from orfevre.errors import InputError

from . import tables


def load(path: Path) -> Tokenizer:
    """A tokenizer whatever its file: tokenizer.json, tekken.json or tokenizer.model. Raises InputError.

    A special token written out in a text is plain text to it, until its `encode_special_tokens` is set to False.
    """
    if ".model" in path.name:  # tokenizer.model, tokenizer.model.v3
        return _sentencepiece(path)
    table = tables.read(path)
    if "tekken" in path.name or "vocab" in table.values:
        return _tekken(table)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for every fault of the file
        raise InputError(f"{path}: not a tokenizer.json of the tokenizers library ({error}); fetch it again") from None
    tokenizer.encode_special_tokens = True
    return tokenizer


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """bos_token_id, eos_token_id and pad_token_id by the names that Mistral's and our tokenizers use."""
    names = {"bos_token_id": "<s>", "eos_token_id": "</s>", "pad_token_id": "<pad>"}
    found = {key: tokenizer.token_to_id(name) for key, name in names.items()}
    return {key: token for key, token in found.items() if token is not None}


def _tekken(table: tables.Table) -> Tokenizer:
    settings = tables.Table(table.path, table.get("config", {}))
    pattern, num_special = str(settings.get("pattern")), int(settings.number("default_num_special_tokens"))
    num_tokens = int(settings.number("default_vocab_size")) - num_special
    try:
        tokens = [base64.b64decode(entry["token_bytes"]) for entry in table.values["vocab"][:num_tokens]]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{table.path}: damaged vocab; fetch it again") from None
    special = [f"<SPECIAL_{rank}>" for rank in range(num_special)]
    for rank, name in _special_tokens(table):
        special[rank] = name
    symbols = _byte_symbols()
    written = ["".join(symbols[byte] for byte in token) for token in tokens]
    vocab = {name: rank for rank, name in enumerate(special)}
    vocab |= {text: num_special + rank for rank, text in enumerate(written)}
    merges = _merges((text for text in written if len(text) > 1), {text: rank for rank, text in enumerate(written)})
    # tiktoken takes a piece that is a token whole before it merges anything
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return _with_special(tokenizer, special)


def _special_tokens(table: tables.Table) -> list[tuple[int, str]]:
    """Rank and name. Files older than version 11 leave them out; they are mistral-common's."""
    listed = table.get("special_tokens")
    if listed is None:
        try:
            from mistral_common.tokens.tokenizers.tekken import Tekkenizer
        except ImportError:
            raise InputError(f"{table.path}: read with mistral-common; pip install 'orfevre[mistral]'") from None

        listed = Tekkenizer.DEPRECATED_SPECIAL_TOKENS
    return [(int(entry["rank"]), str(getattr(entry["token_str"], "value", entry["token_str"]))) for entry in listed]


def _sentencepiece(path: Path) -> Tokenizer:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise InputError(f"{path}: read with sentencepiece; pip install 'orfevre[mistral]'") from None
    try:
        model = SentencePieceProcessor(model_file=str(path))
    except Exception as error:  # RuntimeError or OSError, by version
        raise InputError(f"{path}: not a SentencePiece model ({error}); fetch it again") from None
    pieces = [model.id_to_piece(token) for token in range(model.get_piece_size())]
    plain = [
        token
        for token in range(len(pieces))
        if not (model.is_control(token) or model.is_unknown(token) or model.is_byte(token))
    ]
    ranks = {pieces[token]: -model.get_score(token) for token in plain}
    by_rank = sorted((piece for piece in ranks if len(piece) > 1), key=lambda piece: ranks[piece])
    vocab = {piece: token for token, piece in enumerate(pieces)}
    unknown = pieces[model.unk_id()]
    tokenizer = Tokenizer(
        BPE(vocab=vocab, merges=_merges(by_rank, ranks), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _with_special(tokenizer, [pieces[token] for token in range(len(pieces)) if model.is_control(token)])


def _merges(tokens: Iterable[str], ranks: Mapping[str, float]) -> list[tuple[str, str]]:
    """Every pair of tokens that makes one of `tokens` (best first), pairs of better tokens before others."""
    merges: list[tuple[str, str]] = []
    for token in tokens:
        pairs = [
            (token[:cut], token[cut:]) for cut in range(1, len(token)) if token[:cut] in ranks and token[cut:] in ranks
        ]
        merges += sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return merges


def _with_special(tokenizer: Tokenizer, names: Iterable[str]) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.encode_special_tokens = True  # a special token written out in a text is plain text
    return tokenizer


def _byte_symbols() -> list[str]:
    """For each byte the letter that byte-level BPE writes for it (GPT-2's table): itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    unseen = [byte for byte in range(256) if byte not in seen]
    table = {byte: chr(byte) for byte in seen} | {byte: chr(256 + place) for place, byte in enumerate(unseen)}
    return [table[byte] for byte in range(256)]


def to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(tokenizer.to_str())
    return table
