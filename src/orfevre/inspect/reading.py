"""A text as a model reads it: token ids, and for each the piece of the text it stands for, so that the pieces side by
side are the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from orfevre.errors import InputError
from orfevre.weights import tokenizer
from orfevre.weights.opened import Opened

BEGIN = ("<s>", "<|begin_of_text|>", "<bos>")
"""Names of the token that begins a document, where the model's folder does not say."""


@dataclass(frozen=True)
class Read:
    """A text in tokens, the one that begins a document (if the vocabulary has one) before them."""

    ids: list[int]
    pieces: list[str]
    """Of the text, in its order: `"".join(pieces)` is the text. A token that is a later part of a character has an
    empty piece, and so has the one that begins the document."""
    has_begin: bool


class Reader:
    """The tokenizer of a model's folder, whatever its special tokens."""

    def __init__(self, inner: Tokenizer, begin: int | None, path: Path) -> None:
        inner.no_truncation()
        inner.no_padding()
        inner.encode_special_tokens = True  # "</s>" in a text is plain text
        self._inner, self.begin, self.path = inner, begin, path

    def read(self, text: str) -> Read:
        encoding = self._inner.encode(text, add_special_tokens=False)
        ids, pieces, done = list(encoding.ids), [], 0
        for _, end in encoding.offsets:
            end = max(end, done)  # noqa: PLW2901 - offsets of a character's later bytes are the same again
            pieces.append(text[done:end])
            done = end
        if pieces:  # what a tokenizer drops at the end, blanks say
            pieces[-1] += text[done:]
        if self.begin is None:
            return Read(ids, pieces, False)
        return Read([self.begin, *ids], ["", *pieces], True)

    def word(self, token: int) -> str:
        """A token by itself, for a table: bytes that are no whole character as \\xNN."""
        name = self._inner.id_to_token(token)
        text = self._inner.decode([token], skip_special_tokens=False)
        if "\ufffd" in text and name is not None:
            return "".join(f"\\x{byte:02x}" for byte in raw) if (raw := byte_level(name)) is not None else name
        return text or name or f"id {token}"

    def vocabulary(self) -> dict[str, int]:
        found: dict[str, int] = self._inner.get_vocab(with_added_tokens=True)
        return found


def reader_of(opened: Opened) -> Reader:
    """The tokenizer that lies with the model. Raises InputError where there is none that can be read."""
    path = opened.tokenizer_path
    if path is None:
        raise InputError(
            f"{opened.path}: no tokenizer here to read a text with; put the model's own beside its weights"
        )
    inner = tokenizer.load(path)
    begin = opened.special.get("bos_token_id")
    if not isinstance(begin, int):
        begin = next((found for name in BEGIN if (found := inner.token_to_id(name)) is not None), None)
    return Reader(inner, begin, path)


def byte_level(name: str) -> bytes | None:
    """The bytes behind a token's name in a byte-level BPE vocabulary (GPT-2's table); None if it is not of one."""
    table = _byte_of()
    return bytes(table[letter] for letter in name) if all(letter in table for letter in name) else None


def _byte_of() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 stands for itself, the other bytes are letters from U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def visible(piece: str, limit: int = 24) -> str:
    """A piece on one line: a space is a raised dot, a line's end and a tab are arrows; cut in the middle if long."""
    shown = "".join(_SIGNS.get(letter, letter if letter.isprintable() else f"\\x{ord(letter):02x}") for letter in piece)
    if len(shown) <= limit:
        return shown
    half = (limit - 1) // 2
    return f"{shown[: limit - 1 - half]}…{shown[-half:]}"


_SIGNS = {" ": "·", "\n": "↵", "\r": "↤", "\t": "→", "\u00a0": "⍽", "\u202f": "⍽"}


def shown(piece: str, place: int, pieces: Sequence[str], has_begin: bool) -> str:
    """A token of a read text, for people: also the begin token and a character's later bytes."""
    if piece:
        return visible(piece)
    if place == 0 and has_begin:
        return "<s>"
    before = next((earlier for earlier in reversed(pieces[:place]) if earlier), "")
    return f"({visible(before[-1:])}, continued)" if before else "(no text)"
