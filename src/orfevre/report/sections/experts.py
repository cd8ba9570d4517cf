"""How the experts share the work: the load of each, and what they specialise in."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import experts as plots

Load = Mapping[str, Sequence[Sequence[float]]]


def experts(facts: Facts) -> Section:
    head = Section("experts", "Expert load", "Experts")
    if facts.scores is None:
        return Section(head.id, head.title, head.short, missing="evaluate")
    load = {name: layers for name, layers in facts.scores["expert_load"].items() if layers and layers[0]}
    if not load or len(next(iter(load.values()))[0]) < 2:
        return Section(head.id, head.title, head.short, [Text("The model has no experts to share the load.")])
    blocks = load_blocks(load)
    found = facts.scores.get("specialisation")
    if found is None:
        blocks.append(Text("An earlier orfevre scored this run and did not record what its experts specialise in; "
                           "run evaluate again to see it.", "note"))  # fmt: skip
    else:
        blocks += specialisation_blocks(found["sources"], found["layers"])
    return Section(head.id, head.title, head.short, blocks)


def load_blocks(load: Load, name: str = "experts") -> list[Block]:
    """The share of each source's choices that fell on each expert, as maps; `name` is the plot's."""
    shares = [share for layers in load.values() for layer in layers for share in layer]
    count = len(next(iter(load.values()))[0])
    lead = (
        f"Share of a layer's choices that fell on each expert, per cent; {words.share(1 / count)} is the fair "
        f"share. The least is {words.share(min(shares))}, the most {words.share(max(shares))}."
    )
    plot = Plot(name, "Expert load by layer", f"{lead} {_busiest(load)}", partial(plots.load_maps, load),
                "Blue: more than the fair share; orange: less; the stronger the further.")  # fmt: skip
    return [Text(lead), plot]


def _busiest(load: Load) -> str:
    """For who cannot see the maps: where each source goes most."""
    lines = []
    for name, layers in load.items():
        share, layer, expert = max(
            (share, layer, expert) for layer, row in enumerate(layers) for expert, share in enumerate(row)
        )
        lines.append(f"{name}: {words.share(share)} to expert {expert} of layer {layer}")
    return f"Most of all, {'; '.join(lines)}."


def specialisation_blocks(names: Sequence[str], layers: Sequence[Mapping[str, Any]]) -> list[Block]:
    """What a token's expert tells of its source, layer by layer, and how far the sources lie apart."""
    if not layers or "mutual_information" not in layers[0]:
        return [Text("With fewer than two sources there is no specialisation to measure.")]
    most = max(layers, key=lambda row: row["mutual_information"])
    beyond = [row for row in layers if row["chance_95"] is not None and row["mutual_information"] > row["chance_95"]]
    lead = (
        f"How much the experts of a token tell of its source, were all sources equally frequent: at most "
        f"{words.digits(most['mutual_information'])} bits, in layer {layers.index(most)}, which is "
        f"{words.share(most['share'])} of what would tell the source for sure. {_verdict(len(beyond), layers)}"
    )
    plot = Plot(
        "specialisation", "What a token's expert tells of its source, by layer",
        "Bits by layer: " + ", ".join(words.digits(row["mutual_information"]) for row in layers) + ".",
        partial(plots.information, layers),
        "Mutual information of source and expert. By chance: the same after dealing the documents to the sources at "
        "random.",
    )  # fmt: skip
    return [Text(lead), plot, _by_layer(layers), _distances(names, layers)]


def _verdict(beyond: int, layers: Sequence[Mapping[str, Any]]) -> str:
    if all(row["chance_95"] is None for row in layers):
        return "With one document a source, chance cannot be told apart."
    if not beyond:
        return "In no layer is that more than chance would show."
    return f"That is more than chance would show in {beyond} of {len(layers)} layers."


def _by_layer(layers: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (str(layer), words.digits(row["mutual_information"]), words.share(row["share"]), words.digits(row["chance"]),
         words.digits(row["chance_95"]), words.digits(row["load_entropy"]), words.share(row["load_entropy_share"]))
        for layer, row in enumerate(layers)
    ]  # fmt: skip
    columns = (
        "layer",
        "bits",
        "of the most",
        "by chance",
        "95 % of chance below",
        "entropy of the load",
        "of the most",
    )
    return Table("Specialisation by layer; entropies in bits, even load is 100 %", columns, rows)


def _distances(names: Sequence[str], layers: Sequence[Mapping[str, Any]]) -> Table:
    def mean(i: int, j: int) -> float:
        return float(sum(row["distances"][i][j] for row in layers) / len(layers))

    rows = [
        (name, *(words.NONE if i == j else f"{mean(i, j):.3f}" for j in range(len(names))))
        for i, name in enumerate(names)
    ]
    caption = "How differently two sources use the experts: Jensen-Shannon distance, 0 to 1, mean of the layers"
    return Table(caption, ("source", *names), rows)
