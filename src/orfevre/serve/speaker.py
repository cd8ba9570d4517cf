"""A model ready to write: its decoder, and the text that goes in and comes out.

Any folder that `weights.open_weights` opens will do. Special tokens written out in a text are plain text to `encode`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from orfevre import artifact
from orfevre.errors import InputError, UserError
from orfevre.inference.decoder import Decoder
from orfevre.inference.held import Precision, hold
from orfevre.inference.native import NativeDecoder
from orfevre.weights import tokenizer
from orfevre.weights.opened import Opened, open_weights

PRECISIONS = get_args(Precision)
GIB = 2**30


class Coder:
    """Text to ids and back, with what the model's folder says of its special tokens."""

    def __init__(self, opened: Opened) -> None:
        """Raises InputError for a folder without a tokenizer and for one of another vocabulary."""
        if opened.tokenizer_path is None:
            raise InputError(f"{opened.path}: no tokenizer.json, tekken.json or tokenizer.model here; add the model's")
        self.path = opened.tokenizer_path
        self.plain, self._special = (tokenizer.load(self.path) for _ in range(2))
        self._special.encode_special_tokens = False
        for each in (self.plain, self._special):  # files may say to cut texts off, or to fill them up
            each.no_truncation()
            each.no_padding()
        known = tokenizer.special_ids(self.plain) | dict(opened.special)
        self.bos: int | None = known.get("bos_token_id")
        self.ends = tuple(dict.fromkeys([*_ids(known.get("eos_token_id")), *_more_ends(opened.path)]))
        if (size := self.plain.get_vocab_size(with_added_tokens=True)) > opened.vocab_size:
            raise InputError(
                f"{self.path}: {size} tokens, and the model knows {opened.vocab_size}; take both of one release"
            )

    def encode(self, text: str) -> list[int]:
        """The ids of a text that begins: `<s>`, where the model has it, and those of the text."""
        ids: list[int] = self.plain.encode(text, add_special_tokens=False).ids
        return ids if self.bos is None else [self.bos, *ids]

    def encode_marked(self, text: str) -> list[int]:
        """The ids of a text in which special tokens are written out, as a chat template does."""
        ids: list[int] = self._special.encode(text, add_special_tokens=False).ids
        return ids

    def encode_after(self, text: str) -> list[int]:
        """The same of a text that goes on: without the space that some tokenizers put before a text."""
        anchor, ids = self.encode_marked("\n"), self.encode_marked("\n" + text)
        return ids[len(anchor) :] if ids[: len(anchor)] == anchor else self.encode_marked(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out; U+FFFD for bytes that are not a character."""
        text: str = self.plain.decode(list(ids), skip_special_tokens=True)
        return text

    def name(self, token: int) -> str:
        """A special token as a template writes it."""
        return str(self.plain.id_to_token(token) or "")


def _ids(said: object) -> list[int]:
    return [each for each in (said if isinstance(said, list) else [said]) if isinstance(each, int)]


def _more_ends(folder: Path) -> list[int]:
    """What generation_config.json says ends a text: chat models often have an end of turn beside the end of text."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return []
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); mend it or delete it") from None
    return _ids(table.get("eos_token_id")) if isinstance(table, dict) else []


@dataclass(frozen=True)
class Asked:
    """How to hold and run a model."""

    weights: Precision | None = None
    """One of PRECISIONS; None is as they are stored."""
    threads: int = 0
    """0 is torch's own choice."""
    offload_gib: float | None = None
    """Memory for experts, of which the rest stays in the file; None holds all."""

    def __post_init__(self) -> None:
        if self.weights not in (None, *PRECISIONS):
            raise UserError(f"--weights {self.weights}: give one of {', '.join(PRECISIONS)}")
        if self.threads < 0:
            raise UserError(f"--threads {self.threads}: give 1 or more, or 0 for all cores")
        if self.offload_gib is not None and not 0 < self.offload_gib < float("inf"):
            raise UserError(f"--offload {self.offload_gib}: give the memory for experts in GiB, above 0")


def open_model(path: Path) -> tuple[Opened, Coder]:
    """A model on disk and its tokenizer. Raises UserError for a folder that holds none, or an unfinished run's."""
    opened = open_weights(path)
    if (opened.path / "train").is_dir():
        artifact.require(opened.path / "train")
    return opened, Coder(opened)


def open_decoder(opened: Opened, asked: Asked, num_slots: int, context_length: int | None = None) -> Decoder:
    """Load the weights; a slot's room is `context_length`, or the model's own window if that is shorter."""
    if asked.threads:
        torch.set_num_threads(asked.threads)
    room = min(context_length or opened.config.context_length, opened.config.context_length)
    if asked.offload_gib is not None:
        from orfevre.inference.offload import OffloadedDecoder

        size = round(asked.offload_gib * GIB)
        return OffloadedDecoder(opened, size, num_slots, precision=asked.weights, context_length=room)
    weights = asked.weights or ("float32" if opened.dtype("embedding.weight") == torch.float32 else "bfloat16")
    return NativeDecoder(hold(opened, weights), num_slots, room, asked.threads)
