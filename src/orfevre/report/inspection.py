"""A page from the table that `orfevre inspect` makes of one model: self-contained, in the report's look."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orfevre import artifact
from orfevre.errors import InputError
from orfevre.report import build, words
from orfevre.report.blocks import Block, Card, Cards, Items, Plot, Section, Table, Text, Token, Tokens
from orfevre.report.sections.experts import load_blocks, specialisation_blocks

MOST_TOKENS, MOST_LAYERS, MOST_EXPERTS = 400, 8, 16
"""Shown on the page; the JSON has all."""

Facts = Mapping[str, Any]


def write(table: Facts, path: Path) -> None:
    """`table` is that of docs/guides/inspect.md. Raises InputError where the page cannot be written."""
    sections = [section for section in (_parameters(table), _text(table), _domains(table)) if section is not None]
    drawings = build.draw(block for section in sections for block in section.blocks if isinstance(block, Plot))
    about, found = table["model"], table["parameters"]
    page = build.render(
        "inspection.jinja",
        drawings,
        eyebrow=f"{about['name']} · {about['kind']}",
        title="What is inside",
        lead=" ".join(table["words"]),
        cards=Cards(_cards(table["config"], found)),
        sections=sections,
    )
    try:
        artifact.write_text(path, page)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from None


def _cards(config: Facts, found: Facts) -> list[Card]:
    active = found["active"] / found["total"]
    return [
        Card("Parameters", words.large(found["total"]), f"{words.count(found['total'])} in all"),
        Card("Met by a token", words.large(found["active"]), f"{words.share(active)} of them"),
        Card("Experts", words.count(config["num_experts"]), f"in each of {config['num_layers']} layers; "
             f"a token goes to {config['experts_per_token']}"),
        Card("As stored", words.amount(found["bytes"], "B"), "weights on disk"),
    ]  # fmt: skip


def _parameters(table: Facts) -> Section:
    found = table["parameters"]
    parts = [
        (row["part"], words.count(row["parameters"]), words.share(row["share"]), words.amount(row["bytes"], "B"),
         words.digits(row["rms"]))
        for row in found["parts"]
    ]  # fmt: skip
    keys = [key for key in found["layers"][0] if key != "layer"]
    layers = [(str(row["layer"]), *(words.digits(row[key]) for key in keys)) for row in found["layers"]]
    blocks: list[Block] = [
        Table("Where the parameters are", ("part", "parameters", "share", "as stored", "rms of weights"), parts),
        Table("Root mean square of the weights by layer", ("layer", *keys), layers),
    ]
    if lines := [f"{row['tensor']}: {row['text']}" for row in table["findings"]]:
        blocks.insert(0, Items("What is wrong with the weights", lines, "warning"))
    else:
        blocks.append(Text("Every weight is finite, and no row of a matrix is all zero."))
    return Section("parameters", "Parameters", "Parameters", blocks)


def _text(table: Facts) -> Section | None:
    if (found := table["text"]) is None:
        return None
    cost = "" if found["bits_per_byte"] is None else f" {words.loss(found['bits_per_byte'])} bits per byte;"
    windows = "1 window" if found["windows"] == 1 else f"{words.count(found['windows'])} windows"
    blocks: list[Block] = [
        Text(f"{words.count(found['bytes'])} bytes in {words.count(found['tokens_read'])} tokens;{cost} read in "
             f"{windows} of up to {words.count(found['window'])} tokens.")
    ]  # fmt: skip
    if table["config"]["num_experts"] > 1:
        load = {"this text": [_shares(row["counts"]) for row in found["layers"]]}
        blocks += [*load_blocks(load, "text"), _certainty(found["layers"]), *_coloured(found["tokens"])]
    return Section("text", "A text, token by token", "Text", blocks)


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / max(1, sum(counts)) for count in counts]


def _certainty(layers: Sequence[Facts]) -> Table:
    rows = [
        (str(row["layer"]), words.digits(row["load_entropy"]), words.share(row["load_entropy_share"]),
         words.digits(row["token_entropy"]), words.share(row["token_entropy_share"]), words.digits(row["router_z"]))
        for row in layers
    ]  # fmt: skip
    columns = ("layer", "entropy of the load", "of the most", "a token's entropy", "of the most", "router z")
    return Table("Load and certainty of the router by layer, entropies in bits", columns, rows)


def _coloured(tokens: Sequence[Facts]) -> list[Block]:
    """The text once a layer, each token in the colour and with the number of its likeliest expert."""
    head = tokens[:MOST_TOKENS]
    num_layers = len(head[0]["experts"])
    layers = thinned(num_layers)
    left = (
        f" The first {MOST_TOKENS} of {words.count(len(tokens))} tokens are shown." if len(tokens) > len(head) else ""
    )
    some = f" {len(layers)} of {num_layers} layers are shown." if len(layers) < num_layers else ""
    intro = Text(
        "Below, each token has the number of its likeliest expert behind it, and a colour for it (eight colours, which "
        f"repeat); point at one for the others and their weights.{left}{some}"
    )
    folds = [
        Tokens(f"Layer {layer}", [_token(token, layer) for token in head], layer == layers[-1]) for layer in layers
    ]
    return [intro, *folds]


def _token(token: Facts, layer: int) -> Token:
    chosen = list(zip(token["experts"][layer], token["weights"][layer], strict=True))
    pairs = ", ".join(f"expert {expert} {words.share(weight, 0)}" for expert, weight in chosen)
    cost = "" if token["bits"] is None else f"; {words.digits(token['bits'])} bits"
    first = int(chosen[0][0])
    # a character's later bytes have no text of their own, and the begin token's name says what it is
    text = token["text"] or ("…" if token["shown"].startswith("(") else token["shown"])
    line = text.rstrip("\n")
    ends = len(text) - len(line)
    return Token(line + "↵" * ends, str(first), first % 8, f"{token['shown']}: {pairs}{cost}", "\n" * ends)


def _domains(table: Facts) -> Section | None:
    if (found := table["domains"]) is None:
        return None
    if not found["layers"]:
        text = Text("No source has held-out text, so there is no specialisation to show.")
        return Section("domains", "What experts specialise in", "Specialisation", [text])
    load = {name: [_shares(row) for row in source["counts"]] for name, source in found["sources"].items()}
    blocks = [*load_blocks(load, "domains"), *specialisation_blocks(found["names"], found["layers"])]
    if table["config"]["num_experts"] <= MOST_EXPERTS:
        blocks.append(_favourites(found, load))
    return Section("domains", "What experts specialise in", "Specialisation", blocks)


def _favourites(found: Facts, load: Mapping[str, Sequence[Sequence[float]]]) -> Table:
    rows = []
    for layer in thinned(len(found["layers"])):
        for expert in range(len(found["layers"][0]["counts"])):
            shares = {name: layers[layer][expert] for name, layers in load.items()}
            name = max(shares, key=lambda key: shares[key])
            mean = sum(shares.values()) / len(shares)
            tokens = [f"‹{token['shown']}› {token['count']}/{token['of']}" for token in found["tokens"][layer][expert]]
            rows.append((
                f"{layer} / {expert}", f"{name} {words.times(shares[name] / mean if mean else 0)}",
                ", ".join(tokens) or words.NONE,
            ))  # fmt: skip
    caption = "Where an expert's tokens come from beyond its fair share, and tokens it gets beyond chance (sent / seen)"
    return Table(caption, ("layer / expert", "most from", "tokens"), rows, words=3)


def thinned(num_layers: int) -> list[int]:
    """At most MOST_LAYERS of them, evenly spaced, the first and the last among them."""
    if num_layers <= MOST_LAYERS:
        return list(range(num_layers))
    return [round(place * (num_layers - 1) / (MOST_LAYERS - 1)) for place in range(MOST_LAYERS)]
