"""What the check runs said of the chosen mixture and its rivals, and what a wrong mixture costs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Block, Plot, Section, Table, Text
from orfevre.report.facts import Facts
from orfevre.report.plots import arms
from orfevre.report.plots import price as price_plot
from orfevre.report.sections import scales

MOST_COLUMNS = 8
"""With more sources a run's table has those of the target alone, for paper's sake; checks.jsonl has all."""


def check(facts: Facts) -> Section:
    head = Section("check", "The check run", "Check run")
    if (found := facts.mixture) is None:
        return Section(head.id, head.title, head.short, missing="mix")
    told = scales.comparable(found)
    means = [f"{arm} {words.loss(found['measured'][arm]['target'])}" for arm in found["arms"]]
    beside = "Check runs beside their predictions" if told else "Check runs"
    blocks: list[Block] = [
        Text(_lead(found)),
        Text(words.sentence(found["verdict"]["text"]), "note"),
        Plot("gains", "What the chosen mixture gains over each other", f"Measured gains: {_gains(found)}.",
             partial(arms.gains, found),
             f"Paired by seed; lines are {words.share(found['confidence'], 0)} intervals."),
        _verdict_table(found),
        Plot("check", beside, f"Measured means: {words.listing(means)}.", partial(arms.checks, found, told)),
        _check_table(found, told),
        _seed_table(found, facts.checks),
        _loss_table(found),
    ]  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def _lead(found: Mapping[str, Any]) -> str:
    lead = (
        f"Were the predictions right? Fresh runs with other seeds, of {scales.size(found['scales']['check'])}; target "
        f"loss in {found['unit']}."
    )
    if not scales.comparable(found):
        lead += (
            f" The predictions are for {scales.told_at(found)}: losses of two sizes cannot be set side by side, but "
            "whether the chosen mixture gains can."
        )
    return lead


def _gains(found: Mapping[str, Any]) -> str:
    against = found["verdict"]["against"]
    return words.listing([f"over {arm} {words.loss(against[arm]['gain'], signed=True)}" for arm in found["arms"][1:]])


def _verdict_table(found: Mapping[str, Any]) -> Table:
    rows = []
    for arm in found["arms"][1:]:
        one = found["verdict"]["against"][arm]
        told = found["predicted"][arm]["target"] - found["predicted"]["chosen"]["target"]
        rows.append((
            arm, outcome(one), words.loss(one["gain"], signed=True), words.between(one["interval"], _signed),
            words.loss(told, signed=True),
        ))  # fmt: skip
    columns = ("against", "the chosen mixture", "gain measured", "interval", "gain predicted")
    return Table(f"Gain over each mixture, {found['unit']} of target loss", columns, rows, words=2)


def _signed(value: float | None) -> str:
    return words.loss(value, signed=True)


def outcome(one: Mapping[str, Any]) -> str:
    """`wins`, `loses`, or that the interval leaves it open; an end that could not be had decides nothing."""
    low, high = one["interval"] or (None, None)
    if low is not None and low > 0:
        return "wins"
    return "loses" if high is not None and high < 0 else "cannot be told apart"


def _check_table(found: Mapping[str, Any], told: bool) -> Table:
    """`told`: predictions and check runs are of one size."""
    rows = []
    for arm in found["arms"]:
        guess, truth = found["predicted"][arm], found["measured"][arm]
        row = [arm, words.loss(truth["target"]), words.between(truth["interval"])]
        if told:
            inside = guess["interval"][0] <= truth["target"] <= guess["interval"][1]
            row += [
                words.loss(guess["target"]), words.between(guess["interval"]),
                words.loss(truth["target"] - guess["target"], signed=True), "yes" if inside else "no",
            ]  # fmt: skip
        rows.append(row)
    columns = ["mixture", "measured", "interval"]
    columns += ["predicted", "interval", "difference", "held"] if told else []
    caption = "Measured beside predicted; held: the measured mean lies in the predicted interval"
    return Table(caption if told else "Measured target loss, mean over seeds", columns, rows)


def _seed_table(found: Mapping[str, Any], checks: list[dict[str, Any]]) -> Table:
    rows = []
    order = [*found["arms"], "budget"]
    named = found["sources"]
    if len(named) > MOST_COLUMNS:
        named = [name for name in named if found["target"].get(name)]
    for row in sorted(checks, key=lambda row: (order.index(row["kind"]), row.get("budget") or 1, row["seed"])):
        target = sum(weight * row["losses"][name] for name, weight in found["target"].items() if weight)
        rows.append((
            row["run"], row["kind"], words.count(row["tokens"]), _budget(row.get("budget")), str(row["seed"]),
            words.loss(target), *(words.loss(row["losses"].get(name)) for name in named),
        ))  # fmt: skip
    columns = ("run", "mixture", "tokens", "budget", "seed", "target", *named)
    return Table("Every check run, seed by seed; budget runs have the natural mixture", columns, rows, words=2)


def _budget(multiple: float | None) -> str:
    return words.NONE if multiple is None else f"{multiple:g}{words.NARROW}×"


def _loss_table(found: Mapping[str, Any]) -> Table:
    pairs = [(arm, side) for arm in found["arms"] for side in ("predicted", "measured")]
    rows = [
        (name, *(words.loss(found[side][arm]["losses"].get(name)) for arm, side in pairs)) for name in found["sources"]
    ]
    columns = ("source", *(f"{arm}, {side}" for arm, side in pairs))
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
        Text(f"{words.sentence(cost['text'])} {worth(found)}".strip()),
        Plot("price", "Target loss of the natural mixture by budget", cost["text"], partial(price_plot.price, found),
             "Dashes are single runs. The line from the diamond leads to where the natural mixture reaches its loss; "
             "the pale bar is the interval."),
        Table("Price of the wrong mix", ("figure", "value"), facts_rows),
        Table("Natural mixture at several budgets", ("budget", "tokens", "target loss, each run"), rows, words=0),
    ]  # fmt: skip
    return Section(head.id, head.title, head.short, blocks)


def worth(found: Mapping[str, Any]) -> str:
    """The gain told in compute; empty where there is no figure."""
    cost = found["price"]
    if (ratio := cost["compute_ratio"]) is None:
        return ""
    at = f"measured with models of {scales.size(found['scales']['check']).removesuffix(' each')}"
    ends = f", between {words.between(cost['interval'], _more)}".replace(" to ", " and ") if cost["interval"] else ""
    if ratio < 1:
        return f"The natural mixture gets there with {_more(ratio)} compute{ends}: the chosen one costs compute ({at})."
    return f"Choosing the mixture was worth as much as {_more(ratio)} compute{ends} ({at})."


def _more(ratio: float | None) -> str:
    """1.42 -> 42 % more; 0.9 -> 10 % less."""
    if ratio is None:
        return words.NONE
    return f"{words.share(abs(ratio - 1), 0)} {'less' if ratio < 1 else 'more'}"
