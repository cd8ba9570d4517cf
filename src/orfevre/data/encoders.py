"""Texts to token ids, many at a time: gigatoken, or the Hugging Face library that a tokenizer.json belongs to.

Both give the same ids, or gigatoken is not used: orfevre.tokenize.engine compares them in every run. Special tokens
written out in a text stay plain text to both.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orfevre.data.tokenizer import Tokenizer
from orfevre.errors import UserError

RENEW_BYTES = 256 * 2**20
"""gigatoken remembers every word it has met: after so much text it starts again. Natural text takes some 200 MB of
memory by then, text of random letters 1.3 GB."""


class Encoded(NamedTuple):
    """Ids of several texts, without begin and end."""

    ids: npt.NDArray[np.uint32]
    """uint32 [num_tokens], text after text."""

    offsets: npt.NDArray[np.int64]
    """int64 [num_texts + 1]: text t is ids[offsets[t] : offsets[t + 1]]."""


class Encoder(Protocol):
    def encode(self, texts: Any) -> Encoded:
        """Ids of a pyarrow string array without nulls."""


class CannotServe(UserError):  # noqa: N818 - what it says, it says of an engine
    """gigatoken is not there or does not know this tokenizer. The message is a clause: why."""


@contextmanager
def faults() -> Iterator[None]:
    """Whatever gigatoken raises becomes CannotServe: Rust's errors are bare, and its panics no Exception at all."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        lines = str(error).splitlines() or [type(error).__name__]
        raise CannotServe(f"gigatoken cannot take this tokenizer ({lines[0][:200]})") from None


def encoder(engine: str, tokenizer: Tokenizer) -> Encoder:
    """`gigatoken` or `tokenizers`. Raises CannotServe, for gigatoken only."""
    return Gigatoken(tokenizer) if engine == "gigatoken" else HuggingFace(tokenizer)


class HuggingFace:
    """The reference: what transformers and the like will do with the released tokenizer.json."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, texts: Any) -> Encoded:
        lists = self._tokenizer.encode_batch(texts.to_pylist())
        offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        ids = np.empty(offsets[-1], np.uint32)
        for place, each in zip(offsets.tolist(), lists, strict=False):
            ids[place : place + len(each)] = each
        return Encoded(ids, offsets)


class Gigatoken:
    """gigatoken on one thread, with the texts' own buffer and without a Python object a text or a token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        try:
            from gigatoken.gigatoken_rs import load_hf_json
        except ImportError as error:
            raise CannotServe(f"gigatoken cannot be imported ({error}); `pip install gigatoken`") from None
        self._load = load_hf_json
        self._json = json.dumps(without_special(tokenizer.table))
        self._encoded_bytes = 0
        with faults():
            self._inner = self._load(self._json)

    def encode(self, texts: Any) -> Encoded:
        if self._encoded_bytes > RENEW_BYTES:
            self._inner, self._encoded_bytes = self._load(self._json), 0
        self._encoded_bytes += texts.nbytes
        made = self._inner.encode_batch(_borrowed(texts), parallel=False).layout
        offsets = np.asarray(made.offsets.data, np.int64)
        ids = np.asarray(made.content.data, np.uint32)
        return Encoded(ids[offsets[0] : offsets[-1]], offsets - offsets[0])


def without_special(table: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json whose special tokens are not looked for in a text."""
    added = [entry for entry in table.get("added_tokens") or [] if not entry.get("special")]
    return {**table, "added_tokens": added, "post_processor": None}


def byte_sizes(tokenizer: Tokenizer) -> npt.NDArray[np.uint16] | None:
    """uint16 [vocab_size]: how many bytes of text each id spells. None where that is no fixed number.

    It is one for byte-level BPE without a normalizer, which writes each byte as one letter.
    """
    table = tokenizer.table
    if (table.get("decoder") or {}).get("type") != "ByteLevel" or table.get("normalizer"):
        return None
    sizes = np.zeros(tokenizer.vocab_size, np.uint16)
    for text, number in table["model"]["vocab"].items():
        sizes[number] = len(text)
    for entry in table.get("added_tokens") or []:
        sizes[entry["id"]] = len(entry["content"].encode())
    return sizes


def texts_of(texts: Sequence[str]) -> Any:
    return pa.array(texts, pa.large_string())


def text_buffer(texts: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 bytes that a pyarrow string array lies in, and where each text begins there: nothing is copied."""
    large = texts.cast(pa.large_string())
    _, offsets, data = large.buffers()
    if not len(large):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    begins = np.frombuffer(offsets, np.int64)[large.offset : large.offset + len(large) + 1]
    return np.frombuffer(data or b"", np.uint8), begins


def _borrowed(texts: Any) -> Any:
    import awkward as ak

    data, offsets = text_buffer(texts)
    letters = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), letters, parameters={"__array__": "string"}))
