"""The tables of `orfevre inspect --diff` on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from orfevre import console

from .reading import visible
from .show import percent, size, thinned

MOST_ROWS = 40
"""Tensors, keys and tokens shown; the JSON has all."""

Table = Mapping[str, Any]


def difference(table: Table) -> None:
    for side in ("a", "b"):
        about = table[side]
        console.result(f"{side.upper()}: {about['name']} ({about['kind']}, {about['path']})")
    if table["same"]:
        console.result("\nThe same model: what decides its output is equal, every weight included.")
        if any(layer["permuted"] for layer in table["layers"]):
            console.result("Its experts stand in another order, and the router's rows with them.")
    _config(table["config"])
    _parameters(table["parameters"])
    _tensors(table["tensors"])
    _experts(table["layers"])
    _tokenizer(table["tokenizer"])
    if table["text"] is not None:
        _text(table["text"])
    if table["runs"] is not None:
        _runs(table["runs"])
    for side, findings in table["findings"].items():
        for found in findings:
            console.warn(f"{side.upper()}: {found['tensor']}: {found['text']}")


def _config(rows: Sequence[Table]) -> None:
    console.result("")
    if not rows:
        console.result("Configuration: no difference.")
        return
    shown = [
        (row["key"], plain(row["a"]), plain(row["b"]), "training only" if row["training_only"] else "") for row in rows
    ]
    console.table(("key", "A", "B", ""), shown, "Configuration")


def _parameters(found: Table) -> None:
    a, b = ({part["part"]: part for part in found[side]["parts"]} for side in ("a", "b"))
    rows = []
    for part in dict.fromkeys([*a, *b]):
        counts = [f"{side[part]['parameters']:,}" if part in side else "-" for side in (a, b)]
        strengths = [f"{side[part]['rms']:.4f}" if part in side else "-" for side in (a, b)]
        rows.append((part, *counts, *strengths))
    for label, key in (("all", "total"), ("met by a token", "active")):
        rows.append((label, f"{found['a'][key]:,}", f"{found['b'][key]:,}", "", ""))
    rows.append(("as stored", size(found["a"]["bytes"]), size(found["b"]["bytes"]), "", ""))
    console.result("")
    console.table(("part", "parameters of A", "of B", "rms of weights of A", "of B"), rows, "Parameters")


def _tensors(rows: Sequence[Table]) -> None:
    console.result("")
    same = sum(row["relative"] == 0.0 for row in rows)
    console.result(f"Weights: {same} of {len(rows)} tensors are equal (experts in matching order).")
    changed = sorted((row for row in rows if row["relative"] != 0.0), key=lambda row: -(row["relative"] or 1e9))
    if not changed:
        return
    shown = [(row["name"], relative(row["relative"]), row["note"]) for row in changed[:MOST_ROWS]]
    left = f", the {MOST_ROWS} largest of {len(changed)}" if len(changed) > MOST_ROWS else ""
    console.table(("tensor", "change", "note"), shown, f"Change: norm of B - A over norm of A{left}")


def _experts(layers: Sequence[Table]) -> None:
    if not layers or len(layers[0]["pairs"]) < 2:
        return
    console.result("")
    rows = []
    for layer in thinned(layers, MOST_ROWS):
        moved = [f"{i}={j}" for i, j in layer["pairs"] if i != j]
        order = "same order" if not moved else f"{len(moved)} moved: {' '.join(moved[:16])}"
        changes = [change for change in layer["relative"] if change is not None]
        rows.append((
            str(layer["layer"]), f"{min(layer['similarity']):.4f}", f"{max(layer['similarity']):.4f}",
            relative(max(changes)) if changes else "-", order,
        ))  # fmt: skip
    columns = ("layer", "least cosine", "largest cosine", "largest change", "experts of A = of B")
    console.table(columns, rows, "Experts, each with the one it resembles most")


def _tokenizer(found: Table) -> None:
    console.result("")
    if found["same"] is None:
        console.result(f"Tokenizer: cannot be compared. {found['note']}")
        return
    if found["same"]:
        note = f"; {found['note']}" if found["note"] else ""
        console.result(f"Tokenizer: the same {found['size'][0]:,} tokens{note}.")
        return
    console.result(
        f"Tokenizer: {found['size'][0]:,} tokens in A, {found['size'][1]:,} in B; {len(found['added']):,} added, "
        f"{len(found['removed']):,} removed, {found['renumbered']:,} renumbered."
    )
    for what in ("added", "removed"):
        if words := found[what]:
            more = f" and {len(words) - MOST_ROWS:,} more" if len(words) > MOST_ROWS else ""
            console.result(f"  {what}: {' '.join(visible(word) for word in words[:MOST_ROWS])}{more}")


def _text(found: Table) -> None:
    console.result("")
    a, b = found["bits_per_byte"]
    console.result(f"On the text of {found['bytes']:,} bytes: A {a:.4f}, B {b:.4f} bits per byte ({b - a:+.4f}).")
    if found["note"]:
        console.result(f"Routing: {found['note']}.")
        return
    rows = [
        (str(row["layer"]), percent(row["same_first"]), percent(row["overlap"]), f"{row['load_distance']:.3f}")
        for row in thinned(found["layers"], MOST_ROWS)
    ]
    if rows:
        columns = ("layer", "same likeliest expert", "choices in common", "distance of loads")
        console.table(columns, rows, "Routing of its tokens")


def _runs(found: Table) -> None:
    _recipes(found["recipe"])
    for key, title, cell in (
        ("data", "Training data, tokens", lambda side: f"{side['tokens']:,}"),
        ("mixture", "Chosen mixture", percent),
        ("scores", "Bits per byte", _score),
    ):
        if rows := found[key]:
            console.result("")
            shown = [
                (row["source"], *("-" if row[side] is None else cell(row[side]) for side in ("a", "b")), _remark(row))
                for row in rows
            ]
            console.table(("source", "A", "B", ""), shown, title)
    spent = [found["ledger"][side] for side in ("a", "b")]
    console.result("")
    shown = [
        ("wall time", *(console.duration(side["wall_seconds"]) for side in spent)),
        ("computation", *(console.quantity(side["flops"], "FLOP") for side in spent)),
        ("energy", *(f"{side['energy_kwh']:.4g} kWh" for side in spent)),
    ]
    console.table(("what it took", "A", "B"), shown)


def _recipes(rows: Sequence[Table]) -> None:
    if not rows:
        return
    console.result("")
    shown = [(row["key"], plain(row["a"]), plain(row["b"])) for row in rows[:MOST_ROWS]]
    console.table(("key", "A", "B"), shown, "Recipe")
    if len(rows) > MOST_ROWS:
        console.result(f"... and {len(rows) - MOST_ROWS:,} keys more, in the JSON (--json FILE)")


def _score(side: Table) -> str:
    low, high = side["interval"]
    return f"{side['bits_per_byte']:.4f} ({low:.4f} to {high:.4f})"


def _remark(row: Table) -> str:
    if row.get("same") is not None:
        return "" if row["same"] else "the tokens differ"
    if row.get("same_text") is not None:
        return "" if row["same_text"] else "not the same held-out text"
    return ""


def relative(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.3g}"


def plain(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
