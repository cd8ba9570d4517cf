"""Which library encodes: gigatoken where it gives the ids that Hugging Face's gives, on texts of this very run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from orfevre import console
from orfevre.data import documents, encoders
from orfevre.data.tokenizer import BOS, EOS, PAD, PROBE, Tokenizer
from orfevre.errors import InputError

GIGATOKEN, TOKENIZERS = "gigatoken", "tokenizers"

SAMPLE_CHARS = 2**18
"""Of the run's own text that both libraries encode; a tenth of a second."""

PIECE_CHARS = 2000
"""Of one document at most."""

GROUPS = 4
"""Row groups of a source that are looked into."""

ODD = (
    PROBE,
    f"{BOS}{EOS}{PAD}<unk>[INST] [/INST]<|endoftext|> {EOS}\n{BOS}word{EOS}",
    "DON'T I'LL we'Ve ſ'ſ 'S ' s''s l'été aujourd'hui qu'il",
    "1234567890 ١٢٣٤٥ ⅷ ½ x² 3,14 1_000",
    "  \t \n\n \r\n\r \u00a0\u2003\u3000 \u200b\u2028\u2029\x85 ",
    "हिन्दी में ไทยภาษา မြန်မာ עִבְרִית العَرَبِيَّة e\u0301\u0327 \u0301",
    "文字化け，日本語。한국어 ㄱㅏ ｆｕｌｌ ﬁﬂ",
    "😀👩‍👩‍👧‍👦🇫🇷👍🏽 \ufeff\ufffd\u00ad\U0010ffff\ue000",
    "//// /* */ a/b/c\n/\n// --->>> === ###\n\n",
    "XMLHttpRequest iPhone ÉCOLE école ǅungla ß ẞ İi",
    "▁▁▁ ▁word _ĠĊ",
    "a" * 3000,
    "".join(chr(point) + "x " for point in range(0x20, 0x3000, 5)),
)
"""Texts on which two implementations of one pattern are the likeliest to differ."""


@dataclass(frozen=True)
class Choice:
    engine: str
    words: str
    """Why, for the ledger."""


def choose(wanted: str, tokenizer: Tokenizer, own: Sequence[str]) -> Choice:
    """`wanted` is tokenize.engine, `own` are texts of this run.

    Raises InputError if gigatoken was asked for by name and cannot do it.
    """
    if wanted == TOKENIZERS:
        return Choice(TOKENIZERS, "Hugging Face tokenizers, as tokenize.engine asks")
    reason = why_not(tokenizer, own)
    if not reason:
        size = console.quantity(sum(len(text.encode()) for text in (*own, *ODD)), "B")
        return Choice(GIGATOKEN, f"gigatoken; its ids equal Hugging Face's on {len(own)} texts of this run, {size}")
    if wanted == GIGATOKEN:
        raise InputError(f'tokenize.engine = "{GIGATOKEN}": {reason}; set it to "auto" or "{TOKENIZERS}"')
    console.warn(f"Hugging Face tokenizers encodes, some 50 times slower than gigatoken would: {reason}")
    return Choice(TOKENIZERS, f"Hugging Face tokenizers, because {reason}")


def why_not(tokenizer: Tokenizer, own: Sequence[str]) -> str:
    """A clause that says why gigatoken cannot stand in for the reference, or nothing."""
    texts = [*own, *ODD]
    try:
        fast = encoders.Gigatoken(tokenizer)
        with encoders.faults():
            found = fast.encode(encoders.texts_of(texts))
    except encoders.CannotServe as error:
        return str(error)
    expected = encoders.HuggingFace(tokenizer).encode(encoders.texts_of(texts))
    for number, text in enumerate(texts):
        first, last = expected.offsets[number : number + 2]
        own_first, own_last = found.offsets[number : number + 2]
        if not np.array_equal(expected.ids[first:last], found.ids[own_first:own_last]):
            return f"gigatoken's ids differ from Hugging Face's on {text[:40]!r}"
    return ""


def sample(curated: Path, names: Sequence[str]) -> list[str]:
    """Pieces of documents of every source, SAMPLE_CHARS in all: the begins of some, the ends of others."""
    share = SAMPLE_CHARS // max(1, len(names))
    return [text for name in names for text in _from_source(documents.path_of(curated, name), share)]


def _from_source(path: Path, share: int) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        num_groups = file.num_row_groups
        groups = sorted({num_groups * place // GROUPS for place in range(GROUPS)}) if num_groups else []
        for group in groups:
            left = share // len(groups)
            batch = next(file.iter_batches(batch_size=256, row_groups=[group], columns=["text"]), None)
            for number, text in enumerate(batch.column("text").to_pylist() if batch else []):
                piece = (text[:PIECE_CHARS] if number % 2 else text[-PIECE_CHARS:])[:left]
                left -= len(piece)
                if piece:
                    yield piece
