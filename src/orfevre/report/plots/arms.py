"""The mixtures that were compared: how each looks in every picture, their weights, their check runs, their gains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orfevre.report import words

from . import drawing

HAND_MADE = tuple(zip((2, 3, 4, 6, 5), "^v<>P", strict=True))
"""Series colour and marker of mixtures made by hand, in turn; from the sixth on a pair comes again."""


@dataclass(frozen=True)
class Look:
    """A colour and a shape: the shape alone tells up to five hand-made mixtures apart."""

    colour: str
    marker: str


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """One for each arm: the three that always are, then those made by hand."""
    found = {name: Look(colour, drawing.MIXTURE_MARKER[name]) for name, colour in drawing.MIXTURE.items()}
    made = [name for name in arms if name not in found]
    for number, name in enumerate(made):
        series, marker = HAND_MADE[number % len(HAND_MADE)]
        found[name] = Look(drawing.SERIES[series], marker)
    return {name: found[name] for name in arms}


def weights_of(mixture: Mapping[str, Any], arm: str) -> Mapping[str, float]:
    """Shares of an arm; a source that a hand-made mixture does not name has none."""
    found: Mapping[str, float]
    if arm in ("natural", "uniform"):
        found = mixture[arm]
    else:
        found = mixture["weights"] if arm == "chosen" else mixture["baselines"][arm]
    return {name: found.get(name, 0.0) for name in mixture["sources"]}


def weights(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Bars of the chosen weights with their intervals; a marker for each rival; brackets for the limits."""
    names, look = mixture["sources"], looks(mixture["arms"])
    rivals = {arm: weights_of(mixture, arm) for arm in mixture["arms"][1:]}
    apart = 0.34 / max(len(rivals) - 1, 1) if len(rivals) < 4 else 0.66 / (len(rivals) - 1)
    row_height, bar = (0.44, 0.5) if len(rivals) < 4 else (0.36 + 0.05 * len(rivals), 0.76)
    drawn = drawing.figure(narrow, 0.75 + (0.25 if narrow else 0.0) + row_height * len(names))
    axes = drawn.add_subplot()
    for row, name in enumerate(names):
        weight, (low, high) = mixture["weights"][name], mixture["intervals"][name]
        axes.barh(row, weight, height=bar, color=look["chosen"].colour, alpha=0.35)
        axes.plot([low, high], [row, row], color=look["chosen"].colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(weight, row, look["chosen"].marker, color=look["chosen"].colour, markersize=6)
        for number, (arm, shares) in enumerate(rivals.items()):
            at = row + apart * (number - (len(rivals) - 1) / 2)
            axes.plot(shares[name], at, look[arm].marker, color=look[arm].colour, markersize=5.5, clip_on=False)
        _limits(axes, row, mixture["limits"][name], name in mixture["binding"])
    drawing.rows_axes(axes, [f"{name} *" if name in mixture["binding"] else name for name in names])
    axes.set_xlim(0, _room(mixture, rivals))
    axes.xaxis.set_major_formatter(lambda value, _: words.share(value, 0))
    drawing.legend(drawn, narrow, _weight_handles(look))
    return drawn


def _limits(axes: Axes, row: int, limits: Sequence[float], binding: bool) -> None:
    colour, width = (drawing.INK, 2.4) if binding else (drawing.MUTED, 1.2)
    for limit in limits:
        if 0 < limit < 1:
            axes.plot([limit, limit], [row - 0.4, row + 0.4], color=colour, linewidth=width, solid_capstyle="butt")


def _room(mixture: Mapping[str, Any], rivals: Mapping[str, Mapping[str, float]]) -> float:
    shown = [share for shares in (mixture["weights"], *rivals.values()) for share in shares.values()]
    shown += [mixture["intervals"][name][1] for name in mixture["sources"]]
    shown += [high for _, high in mixture["limits"].values() if high < 1]
    return min(1.02, 1.08 * float(max(shown)))


def _weight_handles(look: Mapping[str, Look]) -> list[Line2D]:
    handles = [handle(arm, one) for arm, one in look.items()]
    handles[0].set_linewidth(2.2)
    handles[0].set_label("chosen, with interval")
    for label, colour, width in (("limit", drawing.MUTED, 1.2), ("limit that binds *", drawing.INK, 2.4)):
        handles.append(
            Line2D([], [], marker="|", markersize=11, markeredgewidth=width, color=colour, linewidth=0, label=label)
        )
    return handles


def handle(arm: str, look: Look) -> Line2D:
    """An arm's entry in a legend."""
    return Line2D([], [], marker=look.marker, color=look.colour, linewidth=0, markersize=6, label=arm)


def checks(mixture: Mapping[str, Any], told: bool, narrow: bool) -> Figure:
    """Every measured seed of each arm, and above it, where `told` (the sizes agree), what was predicted."""
    arms, look = [arm for arm in mixture["arms"] if arm in mixture["measured"]], looks(mixture["arms"])
    drawn = drawing.figure(narrow, 0.8 + 0.46 * len(arms))
    axes = drawn.add_subplot()
    for row, arm in enumerate(arms):
        colour, measured = look[arm].colour, mixture["measured"][arm]
        below = row + 0.16 if told else row
        if told and (predicted := mixture["predicted"].get(arm)):
            axes.plot(predicted["interval"], [row - 0.2] * 2, color=colour, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.plot(predicted["target"], row - 0.2, "D", color=colour, markerfacecolor=drawing.PAPER, markersize=5)
        axes.plot(measured["interval"], [below] * 2, color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot(measured["runs"], [below] * len(measured["runs"]), "o", color=colour, markersize=5)
    drawing.rows_axes(axes, arms)
    axes.set_xlabel(f"target loss, {mixture['unit']} (lower is better)")
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    predicted_handle = Line2D([], [], marker="D", color=drawing.INK, markerfacecolor=drawing.PAPER, markersize=5,
                              label="predicted", linestyle=(0, (3, 2)), linewidth=1.2)  # fmt: skip
    drawing.legend(drawn, narrow, [
        *([predicted_handle] if told else []),
        Line2D([], [], marker="o", color=drawing.INK, markersize=5, linewidth=0, label="measured, one seed"),
        Line2D([], [], color=drawing.INK, linewidth=5, alpha=0.3, label="interval of the mean"),
    ])  # fmt: skip
    return drawn


def gains(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """What the chosen mixture gains over each other arm, with its interval, from zero."""
    against, look = mixture["verdict"]["against"], looks(mixture["arms"])
    rivals = [arm for arm in mixture["arms"] if (against.get(arm) or {}).get("gain") is not None]
    drawn = drawing.figure(narrow, 0.55 + 0.38 * len(rivals))
    axes = drawn.add_subplot()
    for row, arm in enumerate(rivals):
        gain, interval = against[arm]["gain"], against[arm]["interval"]
        if interval and None not in interval:
            axes.plot(interval, [row, row], color=look[arm].colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(gain, row, look[arm].marker, color=look[arm].colour, markersize=8)
    axes.axvline(0, color=drawing.INK, linewidth=1.0)
    drawing.rows_axes(axes, [f"over {arm}" for arm in rivals])
    axes.set_xlabel("right of zero it wins" if narrow else f"{mixture['unit']}: right of zero the chosen mixture wins")
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    return drawn
