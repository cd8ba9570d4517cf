"""At which size each number was measured, and what the ladder says of carrying it to a larger one."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import ladder as plots

Size = Mapping[str, Any]


def size(scale: Size) -> str:
    return f"{words.large(scale['parameters'])} parameters and {words.large(scale['tokens'])} tokens each"


def predicted_scale(found: Mapping[str, Any]) -> Size:
    """What the surrogate's figures are of: a rung of the ladder, or the proxies."""
    scales, at = found["scales"], found["scales"]["predicted"]
    scale: Size = scales["proxies"] if at == "proxies" else scales["ladder"][at]
    return scale


def told_at(found: Mapping[str, Any]) -> str:
    return f"models of {size(predicted_scale(found)).removesuffix(' each')}"


def comparable(found: Mapping[str, Any]) -> bool:
    """Whether what was predicted and what the check measured are of one size."""
    told, checked = predicted_scale(found), found["scales"]["check"]
    return bool(told["parameters"] == checked["parameters"] and told["tokens"] == checked["tokens"])


def bent(found: Mapping[str, Any]) -> str:
    at = found["scales"]["predicted"]
    return "" if at == "proxies" else f"What they say was bent to {told_at(found)} by rung {at + 1} of the ladder."


def chance(probability: float) -> str:
    """A probability in words' reach: 0.04 -> 4 %, 0.0003 -> under 0.1 %."""
    if probability < 0.001:
        return f"under {words.share(0.001)}"
    if probability > 0.999:
        return f"over {words.share(0.999)}"
    return words.share(probability, 0 if 0.095 <= probability <= 0.905 else 1)


def scales(facts: Facts) -> Section:
    head = Section("scales", "From small runs to larger ones", "Sizes")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    blocks: list[Block] = [Text(_lead(found)), _size_table(found), _number_table(found)]
    if found["ladder"]:
        blocks += _ladder(found)
    return Section(head.id, head.title, head.short, blocks)


def _lead(found: Mapping[str, Any]) -> str:
    if found["ladder"]:
        return (
            f"A few mixtures were run again at {_rungs(len(found['ladder']['rungs']))}, and what the smaller runs say "
            f"is bent to fit: the choice is made for {told_at(found)}. Beyond that nothing was measured."
        )
    return (
        f"The choice is made for {told_at(found)}. No larger size was asked for (mix.ladder), so whether the best "
        "mixture there is the best further up was not measured."
    )


def _rungs(count: int) -> str:
    return "a larger size" if count == 1 else f"{count} larger sizes"


def _size_table(found: Mapping[str, Any]) -> Table:
    named = {"proxies": found["scales"]["proxies"]}
    named |= {f"rung {number + 1}": rung for number, rung in enumerate(found["scales"]["ladder"])}
    rows = [
        (name, words.large(scale["parameters"]), words.large(scale["tokens"]), words.count(scale["runs"]))
        for name, scale in named.items()
    ]
    checked = found["scales"]["check"]
    each = f"{words.count(checked['runs'])} of each mixture"
    rows.append(("check", words.large(checked["parameters"]), words.large(checked["tokens"]), each))
    return Table("Sizes of the small runs", ("runs", "parameters", "tokens each", "how many"), rows)


def _number_table(found: Mapping[str, Any]) -> Table:
    """Which figure belongs to which size."""
    proxies, checked = found["scales"]["proxies"], found["scales"]["check"]
    at = found["scales"]["predicted"]
    how = "predicted from the proxies" if at == "proxies" else f"predicted, bent at rung {at + 1}"
    rows = [
        ("predicted against measured, rank correlation, coverage", "proxies, out of fold", proxies),
        (
            "weights, intervals, sensitivity, shadow prices, curves by source, predicted losses",
            how,
            predicted_scale(found),
        ),
        ("check runs, gains, the verdict", "measured", checked),
        ("the price of the wrong mix", "measured, over several budgets", checked),
    ]
    told = {"learning": "the prediction as proxies come in", "batches": "how near the best after batches"}
    rows[1:1] = [(what, "proxies", proxies) for key, what in told.items() if found[key]]
    table = [(what, how, words.large(scale["parameters"]), words.large(scale["tokens"])) for what, how, scale in rows]
    return Table("The size behind each number", ("number", "how", "parameters", "tokens"), table, words=2)


def _ladder(found: Mapping[str, Any]) -> list[Block]:
    rungs = found["ladder"]["rungs"]
    names = [name for name in found["sources"] if name in rungs[0]["slopes"]]
    blocks: list[Block] = []
    if all(rung.get("points") for rung in rungs):
        blocks.append(_told_measured(found))
    blocks.append(_rung_table(found))
    slopes = [f"{name} {rungs[-1]['slopes'][name]:.2f}" for name in names]
    blocks.append(Plot(
        "slopes", "How far each loss stretches from size to size",
        f"Slopes at the last rung: {words.listing(slopes)}.", partial(plots.slopes, found, names),
        "How much a difference between two mixtures grows (above 1) or shrinks (below 1) from one size to the next; "
        f"lines are {words.share(found['confidence'], 0)} intervals.",
    ))  # fmt: skip
    blocks.append(_slope_table(found, names))
    if risks := found["ladder"]["rank_risk"]["rivals"]:
        parts = [f"{arm} is in truth better with {chance(risk)}" for arm, risk in risks.items()]
        text = f"The risk that the order is another at the last rung's size, all doubts included: {', '.join(parts)}."
        blocks += [Text(text, "note"), _risk_table(found)]
    return blocks


def _told_measured(found: Mapping[str, Any]) -> Plot:
    rungs = found["ladder"]["rungs"]
    parts = [f"rung {number + 1}: {len(rung['points'])} runs" for number, rung in enumerate(rungs)]
    return Plot(
        "ladder", "Each rung, told by the one below", f"Target loss told and measured; {words.listing(parts)}.",
        partial(plots.told_measured, found),
        "Across: what the smaller runs say of a mixture. Upwards: what it measured at the larger size, on the bent "
        f"prediction with its {words.share(found['confidence'], 0)} interval for one run. Along the dashed line "
        "differences would be as large as below.",
    )  # fmt: skip


def _rung_table(found: Mapping[str, Any]) -> Table:
    rows = [
        (f"rung {number + 1}", words.large(size["parameters"]), words.large(size["tokens"]), words.count(size["runs"]),
         words.digits(rung["spearman"]), words.loss(rung["error"]))
        for number, (rung, size) in enumerate(zip(found["ladder"]["rungs"], found["scales"]["ladder"], strict=True))
    ]  # fmt: skip
    columns = ("rung", "parameters", "tokens each", "runs", "rank correlation", "error")
    return Table(f"The ladder's own runs, each told without itself, {found['unit']}", columns, rows)


def _slope_table(found: Mapping[str, Any], names: list[str]) -> Table:
    rungs = found["ladder"]["rungs"]
    rows = [
        (name, *(cell for rung in rungs for cell in
                 (words.digits(rung["slopes"][name], 2), words.between(rung["intervals"][name], _slope),
                  words.digits(rung["spearmans"][name], 2))))
        for name in names
    ]  # fmt: skip
    columns = (
        "loss on",
        *(cell for number in range(len(rungs)) for cell in (f"rung {number + 1}", "interval", "rank")),
    )
    title = "Slopes of the losses, each size against the one below; rank correlation of runs told without themselves"
    return Table(title, columns, rows)


def _slope(value: float | None) -> str:
    return words.digits(value, 2)


def _risk_table(found: Mapping[str, Any]) -> Table:
    rows = [(arm, chance(risk)) for arm, risk in found["ladder"]["rank_risk"]["rivals"].items()]
    return Table("Probability that the chosen mixture is in truth worse", ("than", "probability"), rows)
