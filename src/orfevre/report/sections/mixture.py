"""The mixture: which was chosen, how far to trust the prediction, what the check run said, what a wrong mix costs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import mixture as plots
from orfevre.report.plots import sensitivity

KINDS = plots.KINDS


def chosen(facts: Facts) -> Section:
    head = Section("mixture", "The mixture", "Mixture")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    scale = found["scale"]
    lead = (
        f"Chosen from {words.count(scale['proxies'])} small runs of {words.large(scale['parameters'])} parameters and "
        f"{words.large(scale['tokens'])} tokens each. The interval says where the optimum lies, given what was "
        f"measured ({words.share(found['confidence'], 0)})."
    )
    weights = [f"{name} {words.share(found['weights'][name])}" for name in found["sources"]]
    plot = Plot("mixture", "Chosen, natural and uniform weights", f"Chosen weights: {words.listing(weights)}. "
                + _binding(found), partial(plots.weights, found))  # fmt: skip
    blocks: list[Block] = [Text(lead), plot, Text(_binding(found)), _weight_table(found)]
    if found["groups"]:
        blocks.append(_group_table(found))
    if found["shadow_prices"]:
        blocks.append(_shadow_table(found))
    blocks.append(_tornado(found))
    return Section(head.id, head.title, head.short, blocks)


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


def _weight_table(found: Mapping[str, Any]) -> Table:
    rows = []
    for name in found["sources"]:
        low, high = found["intervals"][name]
        shares = [found[key].get(name, 0.0) for key in ("natural", "uniform", "unconstrained", "target")]
        rows.append((
            f"{name} *" if name in found["binding"] else name, words.share(found["weights"][name]),
            f"{words.share(low)} to {words.share(high)}", *map(words.share, shares[:2]), _limits(found["limits"][name]),
            words.share(shares[2]), words.digits(found["epochs"].get(name), 2), words.share(shares[3], 0),
        ))  # fmt: skip
    columns = ("source", "chosen", "interval", "natural", "uniform", "limits", "without limits", "epochs", "target")
    return Table("Weights (* a limit binds); epochs are those of the training run", columns, rows)


def trust(facts: Facts) -> Section:
    head = Section("surrogate", "Predicted against measured", "Surrogate")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    surrogate = found["surrogate"]
    lead = (
        "Each proxy was predicted by models that had not seen it; the closer to the dashed line, the better. "
        f"Rank correlation is {words.digits(surrogate['spearman'])}; {words.share(surrogate['coverage'], 0)} of the "
        f"measured losses fall inside their {words.share(found['confidence'], 0)} intervals."
    )
    blocks: list[Block] = [Text(lead)]
    if surrogate["cross_validation"]:
        blocks.append(Plot(
            "surrogate", "Predicted against measured target loss",
            f"{len(surrogate['cross_validation'])} proxies; check runs of {words.listing(list(found['measured']))}.",
            partial(plots.predicted_measured, found),
            "Vertical bars are the prediction's interval; the check runs were predicted before they were made.",
        ))  # fmt: skip
    if found["slices"]:
        blocks.append(Plot(
            "slices", "What each source's weight does to the target loss",
            f"One curve with a band for each of {words.listing(list(found['slices']))}.", partial(plots.slices, found),
            f"Predicted target loss, {found['unit']}, by a source's weight while the others keep their proportions; "
            "the band is the interval, the solid line the chosen weight, the dotted one the natural weight.",
        ))  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def check(facts: Facts) -> Section:
    head = Section("check", "The check run", "Check run")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    means = [f"{kind} {words.loss(found['measured'][kind]['target'])}" for kind in KINDS if kind in found["measured"]]
    blocks: list[Block] = [
        Text(f"Were the predictions right? Fresh runs with other seeds, target loss in {found['unit']}."),
        Text(words.sentence(found["verdict"]["text"]), "note"),
        Plot("check", "Check runs beside their predictions", f"Measured means: {words.listing(means)}.",
             partial(plots.checks, found)),
        _check_table(found),
        _seed_table(found, facts.checks),
        _loss_table(found),
    ]  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def _check_table(found: Mapping[str, Any]) -> Table:
    rows = []
    for kind in KINDS:
        guess, truth = found["predicted"].get(kind), found["measured"].get(kind)
        if guess is None or truth is None:
            continue
        inside = guess["interval"][0] <= truth["target"] <= guess["interval"][1]
        rows.append((
            kind, words.loss(guess["target"]), words.between(guess["interval"]), words.loss(truth["target"]),
            words.between(truth["interval"]), words.loss(truth["target"] - guess["target"], signed=True),
            "yes" if inside else "no",
        ))  # fmt: skip
    columns = ("mixture", "predicted", "interval", "measured", "interval", "difference", "held")
    return Table("Predicted beside measured; held: the measured mean lies in the predicted interval", columns, rows)


def _seed_table(found: Mapping[str, Any], checks: list[dict[str, Any]]) -> Table:
    rows = []
    order = [*KINDS, "budget"]
    for row in sorted(checks, key=lambda row: (order.index(row["kind"]), row.get("budget") or 1, row["seed"])):
        target = sum(weight * row["losses"][name] for name, weight in found["target"].items())
        rows.append((
            row["run"], row["kind"], words.count(row["tokens"]), _budget(row.get("budget")), str(row["seed"]),
            words.loss(target), *(words.loss(row["losses"].get(name)) for name in found["sources"]),
        ))  # fmt: skip
    columns = ("run", "mixture", "tokens", "budget", "seed", "target", *found["sources"])
    return Table("Every check run, seed by seed; budget runs have the natural mixture", columns, rows, words=2)


def _budget(multiple: float | None) -> str:
    return words.NONE if multiple is None else f"{multiple:g}{words.NARROW}×"


def _loss_table(found: Mapping[str, Any]) -> Table:
    pairs = [(kind, side) for kind in KINDS for side in ("predicted", "measured") if kind in found[side]]
    rows = [
        (name, *(words.loss(found[side][kind]["losses"].get(name)) for kind, side in pairs))
        for name in found["sources"]
    ]
    columns = ("source", *(f"{kind}, {side}" for kind, side in pairs))
    return Table("Per source, mean over seeds", columns, rows)


def price(facts: Facts) -> Section:
    head = Section("price", "The price of the wrong mix", "Wrong mix")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    cost = found["price"]
    rows = [
        (_budget(budget["budget"]), words.count(budget["tokens"]), ", ".join(map(words.loss, budget["losses"])))
        for budget in cost["budgets"]
    ]
    facts_rows = [
        ("compute the natural mixture needs", words.times(cost["compute_ratio"])),
        ("interval", words.between(cost["interval"], words.times)),
        ("exponent of the natural curve", words.digits(cost["exponent"])),
        ("beyond what was measured", "yes, extrapolated" if cost["extrapolated"] else "no"),
    ]
    blocks: list[Block] = [
        Text(words.sentence(cost["text"])),
        Plot("price", "Target loss of the natural mixture by budget", cost["text"], partial(plots.price, found),
             "Dashes are single runs. The line from the diamond leads to where the natural mixture reaches its loss; "
             "the pale bar is the interval."),
        Table("Price of the wrong mix", ("figure", "value"), facts_rows),
        Table("Natural mixture at several budgets", ("budget", "tokens", "target loss, each run"), rows, words=0),
    ]  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)
