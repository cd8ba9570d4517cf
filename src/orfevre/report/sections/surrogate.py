"""How far to trust the prediction: told against measured, what each source does, and how it grew with the proxies."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import learning, surrogate, ternary
from orfevre.report.sections import scales


def trust(facts: Facts) -> Section:
    head = Section("surrogate", "Predicted against measured", "Surrogate")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    blocks: list[Block] = [Text(_lead(found))]
    if found["surrogate"]["cross_validation"]:
        blocks.append(_predicted_measured(found))
    if found["slices"]:
        blocks.append(_slices(found))
    if found["ternary"]:
        blocks += _ternary(found, facts.proxies)
    if found["learning"]:
        blocks += _learning(found)
    if found["batches"]:
        blocks += _batches(found, facts.recipes["mix"]["mix"]["batches"])
    return Section(head.id, head.title, head.short, blocks)


def _lead(found: Mapping[str, Any]) -> str:
    fitted = found["surrogate"]
    return (
        "Each proxy was predicted by models that had not seen it; the closer to the dashed line, the better. "
        f"Rank correlation is {words.digits(fitted['spearman'])}; {words.share(fitted['coverage'], 0)} of the "
        f"measured losses fall inside their {words.share(found['confidence'], 0)} intervals."
    )


def _predicted_measured(found: Mapping[str, Any]) -> Plot:
    """The check runs belong here only where they have the proxies' size: at another every loss lies elsewhere."""
    told = found["scales"]["predicted"] == "proxies" and scales.comparable(found)
    rows = found["surrogate"]["cross_validation"]
    beside = "were predicted before they were made" if told else "have another size and stand below"
    return Plot(
        "surrogate", "Predicted against measured target loss",
        f"{len(rows)} proxies" + (f"; check runs of {words.listing(list(found['measured']))}." if told else "."),
        partial(surrogate.predicted_measured, found, told),
        f"Vertical bars are the prediction's interval; the check runs {beside}.",
    )  # fmt: skip


def _slices(found: Mapping[str, Any]) -> Plot:
    return Plot(
        "slices", "What each source's weight does to the target loss",
        f"One curve with a band for each of {words.listing(list(found['slices']))}.", partial(surrogate.slices, found),
        f"Predicted target loss, {found['unit']}, by a source's weight while the others keep their proportions, for "
        f"{scales.told_at(found)}; the band is the interval, the solid line the chosen weight, the dotted one the "
        "natural weight.",
    )  # fmt: skip


def _ternary(found: Mapping[str, Any], proxies: Sequence[Mapping[str, Any]]) -> list[Block]:
    table = found["ternary"]
    names, together = table["sources"], words.share(table["together"])
    least = min(range(len(table["points"])), key=lambda place: float(table["predicted"][place]))
    largest = max(range(len(table["points"])), key=lambda place: float(table["predicted"][place]))
    rows = [_ternary_row(table, "least loss", least), _ternary_row(table, "largest loss", largest)]
    rows += [_ternary_row(table, f"all {name}", place) for name in names
             if (place := _corner(table, name)) is not None]  # fmt: skip
    steps = table["steps"]
    whole = len(table["points"]) == (steps + 1) * (steps + 2) // 2
    unexplored = "" if whole else " What the proxies did not explore is left white."
    at = words.listing([f"{name} {share}" for name, share in zip(names, rows[0][1:4], strict=True)])
    plot = Plot(
        "ternary", f"{words.listing(names).capitalize()}: the three that matter most",
        f"The predicted target loss is least, {rows[0][4]}, at {at}.",
        partial(ternary.triangle, found, proxies),
        f"No other source would be missed more. The three share {together} of the whole, all others keep their chosen "
        "shares; a corner is one source alone. "
        f"The deeper the colour, the lower the target loss predicted for {scales.told_at(found)}. Other mixtures stand "
        f"where the proportions of their three shares are.{unexplored}",
    )  # fmt: skip
    columns = ("place", *names, "predicted", "interval")
    return [plot, Table(f"The target loss over three sources, {found['unit']}", columns, rows)]


def _ternary_row(table: Mapping[str, Any], place: str, number: int) -> tuple[str, ...]:
    ends = (table["low"][number], table["high"][number])
    shares = map(words.share, table["points"][number])
    return place, *shares, words.loss(table["predicted"][number]), words.between(ends)


def _corner(table: Mapping[str, Any], name: str) -> int | None:
    """Where that source has all that the three share; None where nothing like it was tried."""
    column = table["sources"].index(name)
    whole = table["together"] * (1 - 1e-6)
    return next((number for number, point in enumerate(table["points"]) if point[column] >= whole), None)


def _learning(found: Mapping[str, Any]) -> list[Block]:
    points = found["learning"]
    rows = [
        (words.count(point["runs"]), words.loss(point["error"]), words.digits(point["spearman"]),
         words.loss(point["best"]), "out of fold" if point.get("told") == "folds" else "other proxies")
        for point in points
    ]  # fmt: skip
    last = points[-1]
    near = " Runs of batches are not among those: they lie too close together to be ranked." if found["batches"] else ""
    plot = Plot(
        "learning", "The prediction as proxies come in",
        f"With {words.count(points[0]['runs'])} proxies an error of {words.loss(points[0]['error'])}, with "
        f"{words.count(last['runs'])} one of {words.loss(last['error'])}, {found['unit']}.",
        partial(learning.curve, found),
        "The surrogate fitted to the first proxies alone: what it says of those it had not seen, and the least target "
        f"loss it would then have promised. Where the last curve is flat, more proxies would change little.{near}",
    )  # fmt: skip
    columns = ("proxies", "error", "rank correlation", "least loss promised", "judged by")
    return [plot, Table(f"The prediction as proxies come in, {found['unit']}", columns, rows, words=0)]


def _batches(found: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Block]:
    batches = found["batches"]
    near = f"within {asked['epsilon']:g} {found['unit']} of the best"
    rows = [
        (words.count(batch["runs"]), words.share(batch["within"]), words.digits(batch["improvement"], 2),
         batch["stop"] or "a batch was run")
        for batch in batches
    ]  # fmt: skip
    parts = [f"{words.share(batch['within'], 0)} after {words.count(batch['runs'])} runs" for batch in batches]
    plot = Plot(
        "batches", "How near the best, batch by batch",
        f"Probability that the choice is {near}: {words.listing(parts)}.",
        partial(learning.batches, found, asked["confidence"]),
        f"Probability that the choice is {near}; the dashed line is where that was enough.",
    )  # fmt: skip
    columns = ("runs so far", f"probability {near}", "next batch would win", "then")
    return [plot, Table(f"Batches, {found['unit']} of target loss", columns, rows, words=0)]
