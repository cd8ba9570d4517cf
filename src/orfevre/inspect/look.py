"""`orfevre inspect RUN`: everything there is to see in one model, as one JSON table and as tables on the terminal."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orfevre import artifact, console
from orfevre.errors import InputError
from orfevre.model.transformer import Transformer

from . import domains, parameters, show, words
from .reading import Read, Reader, reader_of, shown
from .subject import Subject, load, open_subject
from .trace import Trace, by_layer, predicted, trace

FORMAT = 1
"""Version of the JSON; raised when a key changes its meaning or goes."""


def look(path: Path, text_path: str | None) -> dict[str, Any]:
    """The table of docs/guides/inspect.md, of the model at `path`; with the text (a file, or `-` for stdin) followed
    through it where one is given. Raises UserError for what is not a model or a text."""
    subject = open_subject(path)
    text = None if text_path is None else read_text(text_path)
    measured = parameters.measure(subject.opened)
    table: dict[str, Any] = {
        "format": FORMAT,
        "model": subject.described(),
        "config": subject.opened.config.model_dump(mode="json") | {"vocab_size": subject.opened.vocab_size},
        "words": words.configuration(subject.opened.config, subject.opened.vocab_size),
        "parameters": parameters.tabulate(subject.opened, measured),
        "findings": parameters.findings(measured),
        "text": None,
        "domains": None,
    }
    if broken(str(path), table["findings"]):
        return table  # what a model with such weights makes of a text says nothing
    run = subject.run
    has_domains = run is not None and (run / "tokenize" / "index.json").is_file() and not _is_dense(subject)
    if text is None and not has_domains:
        return table
    reader, model = reader_of(subject.opened), load(subject)
    if text is not None:
        table["text"] = follow_text(model, reader, text, subject.window) | {"source": text_path}
    if has_domains and run is not None:
        table["domains"] = domains.specialise(model, run, reader, subject.window)
    return table


def broken(path: str, findings: Sequence[Mapping[str, str]]) -> str:
    """The first tensor that holds NaN or infinity, with the remedy; empty when none does."""
    bad = [found for found in findings if found["kind"] == "not_finite"]
    if not bad:
        return ""
    more = f" (and {len(bad) - 1} more tensors)" if len(bad) > 1 else ""
    return (
        f"{path}: tensor {bad[0]['tensor']}: {bad[0]['text']}{more}; the file is damaged or its training diverged, so "
        "take another checkpoint or release"
    )


def read_text(path: str) -> str:
    """A file's text, or that of stdin for `-`. Raises InputError."""
    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); --text takes a file of UTF-8 text or -") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); convert it to UTF-8") from None
    if not text:
        raise InputError(f"{path}: empty; --text takes a file of UTF-8 text, or - and a text on stdin")
    return text


def follow_text(model: Transformer, reader: Reader, text: str, window: int) -> dict[str, Any]:
    """JSON of one text: what each token cost and where it went, and the same by layer."""
    read = reader.read(text)
    if not read.ids:
        raise InputError(f"{reader.path}: makes no token of the text; take the tokenizer that the model was made with")
    found = trace(model, read.ids, window)
    bits = float(predicted(found.bits).sum())
    num_bytes = len(text.encode())
    return {
        "bytes": num_bytes,
        "tokens_read": len(read.ids),
        "window": window,
        "windows": -(-len(read.ids) // window),
        "bits": bits,
        "bits_per_byte": bits / num_bytes if read.has_begin else None,
        "layers": by_layer([found], model.config.num_experts),
        "tokens": _tokens(read, found),
    }


def _tokens(read: Read, found: Trace) -> list[dict[str, Any]]:
    """One a token; `experts` and `weights` are lists a layer, the likeliest expert first."""
    bits = [None if cost != cost else float(cost) for cost in found.bits.tolist()]  # noqa: PLR0124 - NaN
    return [
        {
            "id": token,
            "text": read.pieces[place],
            "shown": shown(read.pieces[place], place, read.pieces, read.has_begin),
            "bits": bits[place],
            "experts": found.chosen[:, place].tolist(),
            "weights": [[round(weight, 6) for weight in layer] for layer in found.weights[:, place].tolist()],
        }
        for place, token in enumerate(read.ids)
    ]


def _is_dense(subject: Subject) -> bool:
    return subject.opened.config.num_experts == 1


def save(table: dict[str, Any], path: Path) -> None:
    """The table as JSON, on one line. Raises InputError where it cannot be written."""
    try:
        artifact.write_text(path, json.dumps(table, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from None


def tell(table: dict[str, Any]) -> None:
    """The tables on the terminal; raises InputError after them when the weights are not finite."""
    show.model(table)
    if table["text"] is not None:
        show.text(table["text"], table["config"]["num_experts"])
    if table["domains"] is not None:
        show.domains(table["domains"])
    for found in table["findings"]:
        console.warn(f"{found['tensor']}: {found['text']}")
    if trouble := broken(table["model"]["path"], table["findings"]):
        raise InputError(trouble)
