"""The tables of `orfevre inspect` on a terminal: no wider than it, and readable without colour."""

from collections.abc import Mapping, Sequence
from typing import Any

from orfevre import console

MOST_TOKENS = 400
"""Tokens of a text shown on a terminal; the JSON has all."""

MOST_LAYERS = 12
"""Layers whose norms are shown; the JSON has all."""

Table = Mapping[str, Any]


def model(table: Table) -> None:
    """Configuration, parameters, norms."""
    about, found = table["model"], table["parameters"]
    console.result(f"{about['name']} ({about['kind']}, {about['path']})\n")
    for line in table["words"]:
        console.result(f"  {line}")
    console.result("")
    rows = [
        (part["part"], f"{part['parameters']:,}", percent(part["share"]), size(part["bytes"]), f"{part['rms']:.4f}")
        for part in found["parts"]
    ]
    rows.append(("all", f"{sum(part['parameters'] for part in found['parts']):,}", "", size(found["bytes"]), ""))
    rows.append(("met by a token", f"{found['active']:,}", percent(found["active"] / found["total"]), "", ""))
    console.table(("part", "parameters", "share", "as stored", "rms of weights"), rows, "Parameters")
    _norms(found["layers"])


def _norms(layers: Sequence[Table]) -> None:
    columns = [key for key in layers[0] if key != "layer"]
    console.result("")
    chosen = thinned(layers, MOST_LAYERS)
    rows = [(str(row["layer"]), *(f"{row[key]:.4f}" for key in columns)) for row in chosen]
    left = f" ({len(chosen)} of {len(layers)} layers)" if len(chosen) < len(layers) else ""
    console.table(("layer", *columns), rows, f"Root mean square of the weights by layer{left}")


def text(found: Table, num_experts: int) -> None:
    """Load and certainty by layer, then every token with its experts, a few layers at a time."""
    console.result("")
    each = f"{found['bits_per_byte']:.4f} bits per byte, " if found["bits_per_byte"] is not None else ""
    console.result(
        f"{found['bytes']:,} bytes in {found['tokens_read']:,} tokens: {each}{found['bits']:,.1f} bits in all; read in "
        f"{found['windows']} {'window' if found['windows'] == 1 else 'windows'} of up to {found['window']:,} tokens"
    )
    if num_experts == 1:
        console.result("One expert: there is no choice to show.")
        return
    _load(found["layers"], "Where the tokens went")
    _tokens(found["tokens"])


def _load(layers: Sequence[Table], title: str) -> None:
    console.result("")
    rows = [
        (str(row["layer"]), bits(row["load_entropy"]), percent(row["load_entropy_share"]), bits(row["token_entropy"]),
         percent(row["token_entropy_share"]), f"{row['router_z']:.3f}", loads(row["counts"]))
        for row in layers
    ]  # fmt: skip
    columns = (
        "layer",
        "load entropy",
        "of most",
        "a token's entropy",
        "of most",
        "router z",
        "share of each expert, %",
    )
    console.table(columns, rows, title)


def loads(counts: Sequence[int]) -> str:
    """Shares in per cent, expert 0 first; of many experts the busiest."""
    total = max(1, sum(counts))
    if len(counts) <= 16:
        return " ".join(f"{100 * count / total:.0f}" for count in counts)
    busiest = sorted(range(len(counts)), key=lambda expert: -counts[expert])[:6]
    return " ".join(f"{expert}:{100 * counts[expert] / total:.1f}" for expert in busiest) + " …"


def _tokens(tokens: Sequence[Table]) -> None:
    head = tokens[:MOST_TOKENS]
    num_layers, num_chosen = len(head[0]["experts"]), len(head[0]["experts"][0])
    cell = num_chosen * 7 + 1  # "12 100%" and a blank for each expert
    fitting = max(1, (console.width() - 44) // (cell + 1))
    for first in range(0, num_layers, fitting):
        layers = range(first, min(num_layers, first + fitting))
        rows = [
            (str(place), token["shown"], "" if token["bits"] is None else f"{token['bits']:.2f}",
             *(choice(token, layer) for layer in layers))
            for place, token in enumerate(head)
        ]  # fmt: skip
        console.result("")
        title = "Experts of each token, with what share of its output each makes"
        names = [f"layer {layer}" for layer in layers]
        console.table(("", "token", "bits", *names), rows, title)
    if len(tokens) > len(head):
        console.result(f"... and {len(tokens) - len(head):,} tokens more, in the JSON (--json FILE)")


def choice(token: Table, layer: int) -> str:
    pairs = zip(token["experts"][layer], token["weights"][layer], strict=True)
    return " ".join(f"{expert} {100 * weight:.0f}%" for expert, weight in pairs)


def domains(found: Table) -> None:
    """Specialisation by layer, then who gets what."""
    names, layers = found["names"], found["layers"]
    if not layers:
        console.result("\nNo source has held-out text, so there is no specialisation to show.")
        return
    read = ", ".join(f"{name} {source['tokens']:,}" for name, source in found["sources"].items())
    console.result(f"\nHeld-out text of {len(names)} sources (tokens: {read})")
    _load(layers, "Where all of it went")
    if "mutual_information" in layers[0]:
        _information(found)
    _favourites(found)


def _information(found: Table) -> None:
    console.result("")
    rows = []
    for row in found["layers"]:
        most = furthest(found["names"], row["distances"])
        rows.append((
            str(row["layer"]), bits(row["mutual_information"]), percent(row["share"]), bits(row["chance"]),
            bits(row["chance_95"]), most,
        ))  # fmt: skip
    columns = (
        "layer",
        "bits",
        "of most",
        "by chance",
        "95 % of chance below",
        "furthest apart (Jensen-Shannon distance)",
    )
    console.table(columns, rows, "What a token's expert tells of its source")


def furthest(names: Sequence[str], distances: Sequence[Sequence[float]]) -> str:
    pairs = [(distances[i][j], names[i], names[j]) for i in range(len(names)) for j in range(i)]
    distance, first, second = max(pairs)
    return f"{second} and {first} {distance:.2f}"


def _favourites(found: Table) -> None:
    """For each expert the source that sends it most beyond its fair share, and the tokens it gets."""
    console.result("")
    rows = []
    experts = len(found["layers"][0]["counts"])
    for layer in thinned(range(len(found["layers"])), MOST_LAYERS // 3):
        for expert in range(experts if experts <= 16 else 0):
            name, lift = favourite(found["sources"], layer, expert)
            tokens = found["tokens"][layer][expert][:4]
            words = ", ".join(f"‹{token['shown']}› {token['count']}/{token['of']}" for token in tokens)
            rows.append((str(layer), str(expert), f"{name} {lift:.1f}x", words))
    if rows:
        columns = ("layer", "expert", "most from", "tokens it gets beyond chance (sent here / seen)")
        console.table(columns, rows, "What experts specialise in")


def favourite(sources: Table, layer: int, expert: int) -> tuple[str, float]:
    """The source of whose tokens the expert gets the largest share, and that share over the mean of the sources."""
    shares = {
        name: source["counts"][layer][expert] / max(1, sum(source["counts"][layer])) for name, source in sources.items()
    }
    name = max(shares, key=lambda key: shares[key])
    mean = sum(shares.values()) / len(shares)
    return name, shares[name] / mean if mean else 0.0


def thinned(rows: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly spaced, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def bits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def size(num_bytes: int) -> str:
    return console.quantity(num_bytes, "B")
