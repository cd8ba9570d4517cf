"""The ladder: each rung told by the one below beside what was measured there, and how far losses stretch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import drawing


def told_measured(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """A panel a rung: what the rung below says across, upwards what was measured on the bent prediction's interval.

    Predictions need not lie on a line: each loss has a slope of its own. The dashed line has slope 1.
    """
    rungs = mixture["ladder"]["rungs"]
    rows, columns = (len(rungs), 1) if narrow else (1, len(rungs))
    drawn = drawing.figure(narrow, 0.4 + (2.7 * rows if narrow else 3.3))
    panels = drawn.subplots(rows, columns, squeeze=False).flat
    for number, (axes, rung) in enumerate(zip(panels, rungs, strict=True)):
        _rung(axes, rung["points"])
        axes.set_title(f"measured at rung {number + 1}, {mixture['unit']}")
        axes.set_xlabel(f"told by {'the proxies' if number == 0 else f'rung {number}'}")
        axes.locator_params(nbins=5)
    drawing.legend(drawn, narrow, drawn.axes[0].get_legend_handles_labels()[0])
    return drawn


def _rung(axes: Axes, points: Sequence[Mapping[str, float]]) -> None:
    told, predicted, measured = ([point[key] for point in points] for key in ("told", "predicted", "measured"))
    colour = drawing.MIXTURE["chosen"]
    for point in points:
        axes.plot([point["told"]] * 2, [point["low"], point["high"]], color=colour, linewidth=9, alpha=0.25,
                  solid_capstyle="butt")  # fmt: skip
    middle, height = sum(told) / len(told), sum(predicted) / len(predicted)
    ends = [min(told), max(told)]
    axes.plot(ends, [height + at - middle for at in ends], color=drawing.INK, linewidth=0.8, linestyle=(0, (4, 3)),
              zorder=1, label="slope 1")  # fmt: skip
    axes.plot(told, predicted, "_", color=colour, markersize=13, markeredgewidth=2, label="bent, with interval")
    axes.plot(told, measured, "o", color=drawing.INK, markerfacecolor=drawing.PAPER, markersize=5, markeredgewidth=1.2,
              label="measured")  # fmt: skip


def slopes(mixture: Mapping[str, Any], names: Sequence[str], narrow: bool) -> Figure:
    """How many times as far a loss moves at each rung as at the one below, by source, with its interval."""
    rungs = mixture["ladder"]["rungs"]
    apart = 0.4 / max(len(rungs) - 1, 1)
    drawn = drawing.figure(narrow, 0.8 + (0.3 + 0.1 * (len(rungs) - 1)) * len(names))
    axes = drawn.add_subplot()
    for number, rung in enumerate(rungs):
        colour, marker = drawing.SERIES[number], drawing.MARKERS[number]
        for row, name in enumerate(names):
            at = row + (apart * (number - (len(rungs) - 1) / 2) if len(rungs) > 1 else 0.0)
            label = f"rung {number + 1}" if row == 0 else None
            axes.plot(rung["intervals"][name], [at, at], color=colour, linewidth=1.8, solid_capstyle="butt")
            axes.plot(rung["slopes"][name], at, marker, color=colour, markersize=6,
                      label=label)  # fmt: skip
    axes.axvline(1, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    drawing.rows_axes(axes, list(names))
    axes.set_xlabel("slope; 1: differences as large as below")
    if len(rungs) > 1:
        drawing.legend(drawn, narrow)
    return drawn
