"""The ladder: each rung told by the one below beside what was measured there, and how far losses stretch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from . import drawing


def told_measured(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """A panel a rung: what the rung below says across, what was measured upwards, the bent prediction and its band."""
    rungs = mixture["ladder"]["rungs"]
    rows, columns = (len(rungs), 1) if narrow else (1, len(rungs))
    drawn = drawing.figure(narrow, 0.4 + (2.7 * rows if narrow else 3.3))
    panels = drawn.subplots(rows, columns, squeeze=False).flat
    for number, (axes, rung) in enumerate(zip(panels, rungs, strict=True)):
        points = sorted(rung["points"], key=lambda point: float(point["told"]))
        told = [point["told"] for point in points]
        axes.fill_between(
            told, [point["low"] for point in points], [point["high"] for point in points],
            color=drawing.MIXTURE["chosen"], alpha=0.18, linewidth=0, label="interval of one run",
        )  # fmt: skip
        axes.plot(told, [point["predicted"] for point in points], color=drawing.MIXTURE["chosen"], label="bent")
        axes.plot(
            told, [point["measured"] for point in points], "o", color=drawing.INK, markerfacecolor=drawing.PAPER,
            markersize=5, markeredgewidth=1.2, label="measured",
        )  # fmt: skip
        axes.set_title(f"measured at rung {number + 1}, {mixture['unit']}")
        axes.set_xlabel(f"told by {'the proxies' if number == 0 else f'rung {number}'}")
        axes.locator_params(nbins=5)
    drawing.legend(drawn, narrow, drawn.axes[0].get_legend_handles_labels()[0])
    return drawn


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
