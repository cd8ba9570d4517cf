"""Where two runs differ in what they were made from: recipe, data, mixture, scores, and what they took."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orfevre import artifact, ledger

STAGES = ("curate", "tokenize", "mix", "plan", "train", "evaluate", "release")
Table = dict[str, Any]


def compare(a: Path, b: Path) -> Table:
    """JSON: `{"recipe": [...], "data": [...], "mixture": [...], "scores": [...], "ledger": {...}}`.

    A stage that one of the runs has not finished leaves its list empty. Raises WorkFolderError for an artefact of
    another version.
    """
    return {
        "recipe": _recipes(a, b),
        "data": _data(a, b),
        "mixture": _mixture(a, b),
        "scores": _scores(a, b),
        "ledger": {side: _spent(run) for side, run in (("a", a), ("b", b))},
    }


def _recipes(a: Path, b: Path) -> list[Table]:
    """Keys of the recipe the model was trained by, dotted, whose values differ; null where one lacks the key."""
    one, other = (_flat(_read(run / "train", "recipe.json") or {}) for run in (a, b))
    keys = dict.fromkeys([*one, *other])
    return [
        {"key": key, "a": one.get(key), "b": other.get(key)}
        for key in keys
        if one.get(key) != other.get(key) and key not in ("name", "work")
    ]


def _flat(table: Mapping[str, Any], before: str = "") -> Table:
    """Nested tables to dotted keys; entries of a list of tables go by their name."""
    found: Table = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key}.")
        elif isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            for place, entry in enumerate(value):
                found |= _flat(entry, f"{before}{key}.{entry.get('name', place)}.")
        else:
            found[before + key] = value
    return found


def _data(a: Path, b: Path) -> list[Table]:
    """Every source of either: its training tokens, documents and bytes, and whether its shards are the same bytes."""
    indices = [_read(run / "tokenize", "index.json") for run in (a, b)]
    if indices[0] is None or indices[1] is None:
        return []
    one, other = (index["sources"] for index in indices if index is not None)
    return [
        {
            "source": name,
            "a": one[name]["train"] if name in one else None,
            "b": other[name]["train"] if name in other else None,
            "same": _digest(a, f"shards/{name}/train.bin") == _digest(b, f"shards/{name}/train.bin") is not None,
        }
        for name in dict.fromkeys([*one, *other])
    ]


def _mixture(a: Path, b: Path) -> list[Table]:
    """The weight of each source in the chosen mixture; null where a run has no such source."""
    one, other = (_read(run / "mix", "mixture.json") for run in (a, b))
    if one is None or other is None:
        return []
    names = dict.fromkeys([*one["weights"], *other["weights"]])
    return [{"source": name, "a": one["weights"].get(name), "b": other["weights"].get(name)} for name in names]


def _scores(a: Path, b: Path) -> list[Table]:
    """Bits per byte with intervals, the target last; `same_text` tells whether both were scored on the same documents,
    without which the figures cannot be set side by side."""
    one, other = (_read(run / "evaluate", "scores.json") for run in (a, b))
    if one is None or other is None:
        return []
    rows = []
    for name in dict.fromkeys([*one["sources"], *other["sources"]]):
        held_out = [f"shards/{name}/validation.{file}" for file in ("ids.txt", "bytes.npy")]
        same = all(_digest(a, file) == _digest(b, file) is not None for file in held_out)
        rows.append(_score(name, one["sources"].get(name), other["sources"].get(name), same))
    return [*rows, _score("target", one["target"], other["target"], all(row["same_text"] for row in rows))]


def _score(name: str, one: Table | None, other: Table | None, same: bool) -> Table:
    figures = [
        None if side is None else {"bits_per_byte": side["bits_per_byte"], "interval": side["interval"]}
        for side in (one, other)
    ]
    return {"source": name, "a": figures[0], "b": figures[1], "same_text": same and None not in figures}


def _spent(run: Path) -> Table:
    made = [manifest for stage in STAGES if (manifest := artifact.read(run / stage)) is not None]
    spent = ledger.total(made)
    return {"wall_seconds": spent.wall_seconds, "flops": spent.flops, "energy_kwh": spent.energy_kwh}


def _read(folder: Path, name: str) -> Table | None:
    """A JSON file of a finished stage; None before."""
    if artifact.read(folder) is None:
        return None
    table: Table = json.loads((folder / name).read_text(encoding="utf-8"))
    return table


def _digest(run: Path, name: str) -> str | None:
    """Of a file of the tokenize stage, as its manifest has it."""
    manifest = artifact.read(run / "tokenize")
    found = manifest.outputs.get(name) if manifest else None
    return found.sha256 if found else None
