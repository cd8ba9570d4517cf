"""`orfevre inspect --diff A B`: what changed from one model to another, as one JSON table."""

from pathlib import Path
from typing import Any

import numpy as np

from orfevre import console
from orfevre.engine import specialisation
from orfevre.errors import InputError

from . import histories, matching, parameters, show_difference
from .look import FORMAT, broken, read_text
from .matching import Matching
from .reading import Reader, reader_of
from .subject import Subject, load, open_subject
from .trace import Ints, Trace, predicted, trace


def compare(first: Path, second: Path, text_path: str | None) -> dict[str, Any]:
    """The table of docs/guides/inspect.md. Raises UserError for what is not a model or a text."""
    a, b = open_subject(first), open_subject(second)
    text = None if text_path is None else read_text(text_path)
    config = _config(a, b)
    sizes = {side: parameters.measure(subject.opened) for side, subject in (("a", a), ("b", b))}
    matchings = _match(a, b)
    tensors = _tensors(a, b, matchings)
    table: dict[str, Any] = {
        "format": FORMAT,
        "a": a.described(),
        "b": b.described(),
        "same": all(row["training_only"] for row in config)
        and all(row["relative"] == 0.0 or row["part"] == "mtp" for row in tensors),
        "config": config,
        "parameters": {
            side: {key: value for key, value in parameters.tabulate(subject.opened, sizes[side]).items()
                   if key in ("total", "active", "bytes", "parts")}
            for side, subject in (("a", a), ("b", b))
        },
        "findings": {side: parameters.findings(measured) for side, measured in sizes.items()},
        "tensors": tensors,
        "layers": [_layer(layer, found, tensors) for layer, found in matchings.items()],
        "tokenizer": _tokenizers(a, b),
        "text": None,
        "runs": histories.compare(a.run, b.run) if a.run is not None and b.run is not None else None,
    }  # fmt: skip
    if text is not None:
        table["text"] = _follow(a, b, text, matchings) | {"source": text_path}
    return table


TRAINING_ONLY = ("bias_update_rate", "mtp_depth", "mtp_loss_weight", "aux_loss_weight", "z_loss_weight")
"""Keys that change nothing of what a finished model computes."""


def _config(a: Subject, b: Subject) -> list[dict[str, Any]]:
    """Keys whose values differ, in their order; `training_only` ones change nothing of what the model computes."""
    one, other = (_settled(subject) for subject in (a, b))
    return [
        {"key": key, "a": one[key], "b": other[key], "training_only": key in TRAINING_ONLY}
        for key in one
        if one[key] != other[key]
    ]


def _settled(subject: Subject) -> dict[str, Any]:
    """The configuration with what it leaves to be worked out."""
    config = subject.opened.config
    return config.model_dump(mode="json") | {
        "vocab_size": subject.opened.vocab_size,
        "head_size": config.head_width,
    }


def _match(a: Subject, b: Subject) -> dict[int, Matching]:
    """By layer, where experts can be told one by one."""
    shared = range(min(a.opened.config.num_layers, b.opened.config.num_layers))
    layers = [layer for layer in shared if matching.comparable(a.opened, b.opened, layer)]
    found = {}
    with console.progress("matching experts", len(layers), "layer") as bar:
        for layer in layers:
            found[layer] = matching.match(a.opened, b.opened, layer)
            bar.advance()
    return found


def _tensors(a: Subject, b: Subject, matchings: dict[int, Matching]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys([*a.opened.names(), *b.opened.names()]))
    rows = []
    with console.progress("comparing tensors", len(names), "tensor") as bar:
        for name in names:
            layer = parameters.place(name)[1]
            rows.append(matching.compare(a.opened, b.opened, name, None if layer is None else matchings.get(layer)))
            bar.advance()
    return rows


def _layer(layer: int, found: Matching, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    """`pairs` of (expert of A, expert of B) with their cosine `similarity`, and `relative` change of each pair."""
    stacks = [row for row in tensors if row["layer"] == layer and row["name"].endswith(matching.STACKS)]
    changes = [[row["experts"][place] for row in stacks] for place in range(len(found.first))]
    return {
        "layer": layer,
        "pairs": [list(pair) for pair in zip(found.first, found.second, strict=True)],
        "permuted": found.permuted,
        "similarity": list(found.similarity),
        "relative": [None if None in both else max(both) for both in changes],
    }


def _tokenizers(a: Subject, b: Subject) -> dict[str, Any]:
    """What was added, removed and renumbered; `note` says why nothing can be said."""
    try:
        readers = [reader_of(subject.opened) for subject in (a, b)]
    except InputError as error:
        return {"same": None, "note": str(error), "size": [], "added": [], "removed": [], "renumbered": 0}
    one, other = (reader.vocabulary() for reader in readers)
    added, removed = (sorted(x.keys() - y.keys(), key=x.__getitem__) for x, y in ((other, one), (one, other)))
    same_file = readers[0].path.read_bytes() == readers[1].path.read_bytes()
    note = "" if same_file or one != other else "one vocabulary in files that differ: merges or rules may"
    return {
        "same": one == other,
        "note": note,
        "size": [len(one), len(other)],
        "added": [readers[1].word(other[name]) for name in added],
        "removed": [readers[0].word(one[name]) for name in removed],
        "renumbered": sum(one[name] != other[name] for name in one.keys() & other.keys()),
    }


def _follow(a: Subject, b: Subject, text: str, matchings: dict[int, Matching]) -> dict[str, Any]:
    """Both models on one text: what it cost, and, where both read the same tokens, whether they routed alike."""
    ids, traces = zip(*(_trace(subject, text, min(a.window, b.window)) for subject in (a, b)), strict=True)
    bits = [float(predicted(found.bits).sum()) for found in traces]
    table: dict[str, Any] = {
        "bytes": len(text.encode()),
        "tokens": [len(found) for found in ids],
        "window": min(a.window, b.window),
        "bits": bits,
        "bits_per_byte": [cost / len(text.encode()) for cost in bits],
        "layers": [],
        "note": "",
    }
    if ids[0] != ids[1]:
        return table | {"note": "the tokenizers cut the text differently, so routing cannot be compared token by token"}
    experts = (a.opened.config.num_experts, b.opened.config.num_experts)
    table["layers"] = [
        {"layer": layer} | _routing(traces[0], traces[1], layer, found, experts) for layer, found in matchings.items()
    ]
    return table


def _trace(subject: Subject, text: str, window: int) -> tuple[list[int], Trace]:
    reader: Reader = reader_of(subject.opened)
    ids = reader.read(text).ids
    return ids, trace(load(subject), ids, window)


def _routing(a: Trace, b: Trace, layer: int, found: Matching, experts: tuple[int, int]) -> dict[str, float]:
    """`same_first`: share of tokens whose likeliest expert is the same; `overlap`: mean share of A's choices that B
    made too; `load_distance`: Jensen-Shannon distance of the loads. Experts of B go by the names of those of A that
    they match."""
    names = np.arange(experts[0], experts[0] + experts[1])  # one that matches none is a stranger to all
    names[list(found.second)] = found.first
    one, other = a.chosen[layer], names[b.chosen[layer]]
    common = (one[:, :, None] == other[:, None, :]).any(axis=2)
    loads = np.stack([_load(side, sum(experts)) for side in (one, other)])
    return {
        "same_first": float((one[:, 0] == other[:, 0]).mean()),
        "overlap": float(common.mean()),
        "load_distance": float(specialisation.distances(loads)[0, 1]),
    }


def _load(chosen: Ints, num_experts: int) -> Ints:
    return np.bincount(chosen.reshape(-1), minlength=num_experts).astype(np.int64)


def tell(table: dict[str, Any]) -> None:
    """The tables on the terminal; raises InputError after them when weights are not finite."""
    show_difference.difference(table)
    for side in ("a", "b"):
        if trouble := broken(table[side]["path"], table["findings"][side]):
            raise InputError(trouble)
