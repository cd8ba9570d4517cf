"""A page from the table that `orfevre inspect --diff` makes of two models, in the report's look."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orfevre import artifact
from orfevre.errors import InputError
from orfevre.report import build, words
from orfevre.report.blocks import Block, Card, Cards, Items, Section, Table, Text

MOST_ROWS = 60
"""Of a table on the page; the JSON has all."""

Facts = Mapping[str, Any]


def write(table: Facts, path: Path) -> None:
    """`table` is that of docs/guides/inspect.md. Raises InputError where the page cannot be written."""
    sections = [_configuration(table), _weights(table), _tokenizer(table["tokenizer"])]
    if table["text"] is not None:
        sections.append(_text(table["text"]))
    if table["runs"] is not None:
        sections.append(_runs(table["runs"]))
    a, b = (f"{table[side]['name']} ({table[side]['kind']}, {table[side]['path']})" for side in ("a", "b"))
    page = build.render(
        "inspection.jinja",
        {},
        eyebrow=f"{table['a']['name']} · {table['b']['name']}",
        title="The same model" if table["same"] else "What changed",
        lead=f"A is {a}; B is {b}.",
        cards=Cards(_cards(table)),
        sections=sections,
    )
    try:
        artifact.write_text(path, page)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from None


def _cards(table: Facts) -> list[Card]:
    tensors, tokenizer = table["tensors"], table["tokenizer"]
    same = sum(row["relative"] == 0.0 for row in tensors)
    moved = sum(layer["permuted"] for layer in table["layers"])
    vocabulary = {True: "the same", False: "differs", None: "not compared"}[tokenizer["same"]]
    sizes = [words.large(table["parameters"][side]["total"]) for side in ("a", "b")]
    return [
        Card("Parameters", sizes[1] if sizes[0] == sizes[1] else f"{sizes[0]} → {sizes[1]}", "A and B"),
        Card("Tensors that are equal", f"{same} of {len(tensors)}", "experts in matching order"),
        Card("Layers with experts in another order", words.count(moved), f"of {len(table['layers'])}"),
        Card("Vocabulary", vocabulary, " and ".join(words.count(size) for size in tokenizer["size"])),
    ]


def _configuration(table: Facts) -> Section:
    head = "Configuration and parameters"
    blocks: list[Block] = []
    if table["config"]:
        rows = [
            (row["key"], _plain(row["a"]), _plain(row["b"]), "training only" if row["training_only"] else "")
            for row in table["config"]
        ]
        blocks.append(Table("Keys that differ", ("key", "A", "B", ""), rows, words=4))
    else:
        blocks.append(Text("The configurations are the same."))
    a, b = ({row["part"]: row for row in table["parameters"][side]["parts"]} for side in ("a", "b"))
    parts = [
        (part, *(words.count(side[part]["parameters"]) if part in side else words.NONE for side in (a, b)),
         *(words.digits(side[part]["rms"]) if part in side else words.NONE for side in (a, b)))
        for part in dict.fromkeys([*a, *b])
    ]  # fmt: skip
    total = ("all", *(words.count(table["parameters"][side]["total"]) for side in ("a", "b")), "", "")
    columns = ("part", "parameters of A", "of B", "rms of weights of A", "of B")
    blocks.append(Table("Where the parameters are", columns, parts, total=total))
    wrong = [
        f"{side.upper()}, {row['tensor']}: {row['text']}" for side, rows in table["findings"].items() for row in rows
    ]
    if wrong:
        blocks.append(Items("What is wrong with the weights", wrong, "warning"))
    return Section("configuration", head, "Configuration", blocks)


def _weights(table: Facts) -> Section:
    changed = sorted(
        (row for row in table["tensors"] if row["relative"] != 0.0), key=lambda row: -(row["relative"] or 1e9)
    )
    blocks: list[Block] = []
    if changed:
        rows = [(row["name"], row["note"], words.digits(row["relative"])) for row in changed[:MOST_ROWS]]
        left = f", the {MOST_ROWS} largest of {len(changed)}" if len(changed) > MOST_ROWS else ""
        caption = f"Change of each tensor: norm of B − A over norm of A, experts in matching order{left}"
        blocks.append(Table(caption, ("tensor", "note", "change"), rows, words=2))
    else:
        blocks.append(Text("Every weight is equal, experts in matching order."))
    if table["layers"] and len(table["layers"][0]["pairs"]) > 1:
        blocks.append(_experts(table["layers"]))
    return Section("weights", "Weights", "Weights", blocks)


def _experts(layers: Sequence[Facts]) -> Table:
    rows = []
    for layer in layers:
        moved = [f"{i} = {j}" for i, j in layer["pairs"] if i != j]
        changes = [change for change in layer["relative"] if change is not None]
        rows.append((
            str(layer["layer"]), ", ".join(moved) or "same order", f"{min(layer['similarity']):.4f}",
            f"{max(layer['similarity']):.4f}", words.digits(max(changes)) if changes else words.NONE,
        ))  # fmt: skip
    columns = ("layer", "experts of A = of B", "least cosine", "largest cosine", "largest change")
    return Table("Experts, each with the one it resembles most", columns, rows, words=2)


def _tokenizer(found: Facts) -> Section:
    head = ("tokenizer", "Tokenizer", "Tokenizer")
    if found["same"] is None:
        return Section(*head, [Text(found["note"], "note")])
    if found["same"]:
        note = f" ({found['note']})" if found["note"] else ""
        return Section(*head, [Text(f"The same {words.count(found['size'][0])} tokens{note}.")])
    blocks: list[Block] = [
        Text(f"{words.count(found['size'][0])} tokens in A, {words.count(found['size'][1])} in B; "
             f"{words.count(found['renumbered'])} have another number.")
    ]  # fmt: skip
    for what in ("added", "removed"):
        if tokens := found[what]:
            more = f" and {words.count(len(tokens) - MOST_ROWS)} more" if len(tokens) > MOST_ROWS else ""
            shown = "  ".join(repr(token)[1:-1] for token in tokens[:MOST_ROWS])
            blocks.append(Text(f"{words.count(len(tokens))} {what}: {shown}{more}"))
    return Section(*head, blocks)


def _text(found: Facts) -> Section:
    a, b = found["bits_per_byte"]
    blocks: list[Block] = [
        Text(f"{words.count(found['bytes'])} bytes: {words.loss(a)} bits per byte in A, {words.loss(b)} in B "
             f"({words.loss(b - a, signed=True)}).")
    ]  # fmt: skip
    if found["note"]:
        blocks.append(Text(words.sentence(found["note"]), "note"))
    elif found["layers"]:
        rows = [
            (str(row["layer"]), words.share(row["same_first"]), words.share(row["overlap"]),
             f"{row['load_distance']:.3f}")
            for row in found["layers"]
        ]  # fmt: skip
        columns = ("layer", "same likeliest expert", "choices in common", "distance of loads")
        blocks.append(Table("Where both send the same tokens", columns, rows))
    return Section("text", "On one text", "Text", blocks)


def _runs(found: Facts) -> Section:
    blocks: list[Block] = []
    if found["recipe"]:
        rows = [(row["key"], _plain(row["a"]), _plain(row["b"])) for row in found["recipe"][:MOST_ROWS]]
        blocks.append(Table("Recipe: keys that differ", ("key", "A", "B"), rows, words=3))
    blocks += [
        _sides("Training data, tokens", found["data"], lambda side: words.count(side["tokens"]), "same"),
        _sides("Chosen mixture", found["mixture"], words.share, ""),
        _sides("Bits per byte", found["scores"], _score, "same_text"),
    ]
    spent = [found["ledger"][side] for side in ("a", "b")]
    took: list[tuple[str, ...]] = [
        ("wall time", *(words.duration(side["wall_seconds"]) for side in spent)),
        ("computation", *(words.scientific(side["flops"], "FLOP") for side in spent)),
        ("energy", *(words.energy(side["energy_kwh"]) for side in spent)),
    ]
    blocks.append(Table("What it took", ("", "A", "B"), took))
    kept = [block for block in blocks if not isinstance(block, Table) or block.rows]
    return Section("histories", "What they were made from", "Histories", kept)


def _sides(caption: str, rows: Sequence[Facts], write: Callable[[Any], str], same: str) -> Table:
    """A row a source; `same` names the key that tells whether both sides were of the same text."""
    remarks = [("" if not same or row[same] else "not the same text") for row in rows]
    cells = [
        (row["source"], remark, *(words.NONE if row[side] is None else write(row[side]) for side in ("a", "b")))
        for row, remark in zip(rows, remarks, strict=True)
    ]
    return Table(caption, ("source", "", "A", "B"), cells, words=2)


def _score(side: Facts) -> str:
    return f"{words.loss(side['bits_per_byte'])} ({words.between(side['interval'])})"


def _plain(value: Any) -> str:
    if value is None:
        return words.NONE
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
