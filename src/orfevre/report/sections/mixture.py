"""The mixture: which was chosen, within what limits, what moving a source would do, and what one loss costs another."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import arms, front, sensitivity
from orfevre.report.sections import scales

LEAST_SHARE = 0.02
"""A source with less everywhere along the front has no column in its table; mixture.json has it."""


def chosen(facts: Facts) -> Section:
    head = Section("mixture", "The mixture", "Mixture")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    proxies = found["scales"]["proxies"]
    lead = (
        f"Chosen from {words.count(proxies['runs'])} small runs of {scales.size(proxies)}. The interval says where the "
        f"optimum lies, given what was measured ({words.share(found['confidence'], 0)}). {scales.bent(found)}"
    )
    weights = [f"{name} {words.share(found['weights'][name])}" for name in found["sources"]]
    plot = Plot("mixture", f"Weights: {words.listing(found['arms'])}", f"Chosen weights: {words.listing(weights)}. "
                + _binding(found), partial(arms.weights, found))  # fmt: skip
    blocks: list[Block] = [Text(lead.strip()), plot, Text(_binding(found)), _weight_table(found)]
    if found["groups"]:
        blocks.append(_group_table(found))
    if found["shadow_prices"]:
        blocks.append(_shadow_table(found))
    blocks.append(_tornado(found))
    if found["pareto"]:
        blocks += _front(found)
    return Section(head.id, head.title, head.short, blocks)


def _weight_table(found: Mapping[str, Any]) -> Table:
    rivals = [arms.weights_of(found, arm) for arm in found["arms"][1:]]
    rows = []
    for name in found["sources"]:
        low, high = found["intervals"][name]
        rows.append((
            f"{name}\u00a0*" if name in found["binding"] else name, words.share(found["weights"][name]),
            f"{words.share(low)} to {words.share(high)}", *(words.share(shares[name]) for shares in rivals),
            _limits(found["limits"][name]), words.share(found["unconstrained"].get(name, 0.0)),
            words.digits(round(found["epochs"].get(name, 0.0), 6), 2), words.share(found["target"].get(name, 0.0), 0),
        ))  # fmt: skip
    columns = ("source", "chosen", "interval", *found["arms"][1:], "limits", "without limits", "epochs", "target")
    return Table("Weights (* a limit binds); epochs are those of the training run", columns, rows)


def _group_table(found: Mapping[str, Any]) -> Table:
    rows = [
        (name, words.listing(group["sources"]), words.share(group["weight"]), _limits(group["limits"]))
        for name, group in found["groups"].items()
    ]
    return Table("Groups of sources that are limited together", ("group", "sources", "chosen", "limits"), rows, words=2)


def _shadow_table(found: Mapping[str, Any]) -> Table:
    """What each limit that binds costs."""
    rows = [
        (
            one["source"], "at least" if one["side"] == "low" else "at most", words.share(one["limit"]),
            words.share(one["relaxed"]), words.loss(one["gain"]),
        )
        for one in sorted(found["shadow_prices"], key=lambda one: -one["gain"])
    ]  # fmt: skip
    title = f"What a tenth more room would win, predicted, {found['unit']} of target loss"
    return Table(title, ("source or group", "limit", "now", "loosened to", "gain"), rows, words=2)


def _tornado(found: Mapping[str, Any]) -> Plot:
    parts = [f"{name} {found['swaps'][name]['change']:+.4f}" for name in sensitivity.ordered(found["swaps"])]
    return Plot(
        "sensitivity", "One percentage point more of each source",
        f"Change of the predicted target loss: {words.listing(parts)}.", partial(sensitivity.swaps, found),
        f"The point is taken from all others in their proportions; lines are {words.share(found['confidence'], 0)} "
        "intervals. At an optimum without limits every bar would be at zero or to the right of it.",
    )  # fmt: skip


def _front(found: Mapping[str, Any]) -> list[Block]:
    """The picture and its table, from the best on one loss to the best on the other."""
    first, second = found["pareto"]["losses"]
    points = sorted(found["pareto"]["front"], key=lambda point: float(point["losses"][first]))
    ends = [f"{words.loss(point['losses'][first])} and {words.loss(point['losses'][second])}" for point in points]
    plot = Plot(
        "front", f"What {first} costs {second}",
        f"Predicted losses on {first} and {second} along the front: from {ends[0]} to {ends[-1]}.",
        partial(front.front, found),
        f"Each dot is an allowed mixture that no other beats on both losses, predicted for {scales.told_at(found)}. A "
        "mixture made by hand, like the natural and the uniform one, need not keep the limits.",
    )  # fmt: skip
    named = [
        name for name in found["sources"] if max(point["weights"].get(name, 0.0) for point in points) >= LEAST_SHARE
    ]
    rows = [
        (words.loss(point["losses"][first]), words.loss(point["losses"][second]),
         *(words.share(point["weights"].get(name, 0.0)) for name in named))
        for point in points
    ]  # fmt: skip
    columns = (f"loss on {first}", f"loss on {second}", *named)
    few = "" if len(named) == len(found["sources"]) else f" (sources with {words.share(LEAST_SHARE, 0)} somewhere)"
    return [plot, Table(f"Mixtures along the front{few}", columns, rows, words=0)]


def _binding(found: Mapping[str, Any]) -> str:
    if not found["binding"]:
        return "No limit binds: the optimum lies inside them all."
    verb = "binds" if len(found["binding"]) == 1 else "bind"
    ends = found["limits"] | {name: group["limits"] for name, group in found["groups"].items()}
    limits = [f"{name} ({_limits(ends[name])})" for name in found["binding"]]
    return f"The limits of {words.listing(limits)} {verb}: without them the optimum would lie beyond."


def _limits(limits: list[float]) -> str:
    """Only what was asked for: no limit is a dash."""
    low, high = limits
    parts = [f"at least {words.share(low)}"] if low > 0 else []
    parts += [f"at most {words.share(high)}"] if high < 1 else []
    return ", ".join(parts) or words.NONE
