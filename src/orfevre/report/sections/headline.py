"""The top of the page: what came out, in one sentence and a few figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from orfevre.report import words
from orfevre.report.blocks import Card, Cards, Link, Text
from orfevre.report.facts import Facts


@dataclass(frozen=True)
class Headline:
    title: str
    lead: str
    cards: Cards
    notes: list[Text]
    magnet: Link | None


def headline(facts: Facts) -> Headline:
    return Headline(
        title=_title(facts),
        lead=_lead(facts),
        cards=Cards([_gain(facts), _price(facts), _score(facts), _took(facts)]),
        notes=_notes(facts),
        magnet=Link(facts.magnet, facts.magnet) if facts.magnet and facts.magnet.startswith("magnet:") else None,
    )


def _title(facts: Facts) -> str:
    if facts.mixture is None:
        return "The mixture has not been chosen yet"
    if lost := [arm for arm in facts.mixture["arms"][1:] if _interval(facts.mixture, arm)[1] < 0]:
        return f"The chosen mixture loses to {words.listing(lost)}"
    if facts.mixture["verdict"]["wins"]:
        return "The chosen mixture wins"
    return "The chosen mixture does not win beyond doubt"


def _lead(facts: Facts) -> str:
    """The verdict in full: by how much against each baseline, and whether the interval leaves a doubt."""
    if facts.mixture is None:
        return "The mix stage has not finished, so there is no verdict to report."
    against = [compared(facts.mixture, arm) for arm in facts.mixture["arms"][1:]]
    spread = f"{words.share(facts.mixture['confidence'], 0)} intervals"
    return f"Measured in check runs, it {words.listing(against)} {facts.mixture['unit']} of target loss ({spread})."


def _interval(mixture: Mapping[str, Any], kind: str) -> tuple[float, float]:
    """Of the gain over a baseline; an end that could not be had decides nothing."""
    low, high = (mixture["verdict"]["against"].get(kind) or {}).get("interval") or (None, None)
    return (-inf if low is None else low, inf if high is None else high)


def compared(mixture: Mapping[str, Any], kind: str) -> str:
    """`beats the natural mixture by 0.0312 (0.0252 to 0.0372)`, or that they cannot be told apart."""
    found = mixture["verdict"]["against"].get(kind) or {}
    gain, spread = found.get("gain"), words.between(found.get("interval"))
    if gain is None:
        return f"was not compared with the {kind} mixture"
    low, high = _interval(mixture, kind)
    if low > 0:
        return f"beats the {kind} mixture by {words.loss(gain)} ({spread})"
    if high < 0:
        return f"loses to the {kind} mixture by {words.loss(-gain)} ({spread})"
    return f"cannot be told from the {kind} mixture, with a gain of {words.loss(gain, signed=True)} ({spread})"


def _gain(facts: Facts) -> Card:
    label = "Gain over the natural mixture"
    if facts.mixture is None:
        return Card(label, words.NONE, "the mix stage has not finished")
    found = facts.mixture["verdict"]["against"]["natural"]
    baseline = facts.mixture["measured"]["natural"]["target"]
    part = f", {words.share(found['gain'] / baseline)} of {words.loss(baseline)}" if found["gain"] is not None else ""
    low, high = _interval(facts.mixture, "natural")
    tone = "good" if low > 0 else "bad" if high < 0 else ""
    doubt = "" if tone else "; the interval includes zero"
    return Card(label, words.loss(found["gain"], signed=True), f"{facts.mixture['unit']}{part}{doubt}", tone)


def _price(facts: Facts) -> Card:
    label = "Price of the wrong mix"
    if facts.mixture is None:
        return Card(label, words.NONE, "the mix stage has not finished")
    found = facts.mixture["price"]
    if found["compute_ratio"] is None:
        return Card(label, "no figure", words.sentence(found["text"]))
    detail = (
        f"the compute, for the same loss with the natural mixture ({words.between(found['interval'], words.times)})"
    )
    priced = [
        run for run in (facts.bill or {}).get("runs", []) if (run.get("wrong_mix") or {}).get("euros") is not None
    ]
    if priced:
        detail += f"; {words.euros(priced[-1]['wrong_mix']['euros'])} more for {priced[-1]['name']}"
    return Card(label, words.times(found["compute_ratio"]), detail)


def _score(facts: Facts) -> Card:
    label = "Final score on the target"
    if facts.scores is None:
        return Card(label, words.NONE, "the evaluate stage has not finished")
    target = facts.scores["target"]
    spread = f"{words.share(facts.scores['confidence'], 0)} interval {words.between(target['interval'])}"
    return Card(label, words.loss(target["bits_per_byte"]), f"bits per byte of held-out text ({spread})")


def _took(facts: Facts) -> Card:
    made = facts.manifests.values()
    energy = sum(manifest.energy_kwh for manifest in made)
    flops = words.scientific(sum(manifest.flops for manifest in made), "FLOP")
    seconds = sum(manifest.wall_seconds for manifest in made)
    return Card("What it took here", words.duration(seconds), f"{words.energy(energy)} and {flops}, all stages")


def _notes(facts: Facts) -> list[Text]:
    missing = facts.missing()
    if not missing:
        return []
    verb = "has" if len(missing) == 1 else "have"
    return [
        Text(f"{words.listing(missing).capitalize()} {verb} not finished; their parts of this page say so.", "note")
    ]
