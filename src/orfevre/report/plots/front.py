"""What one loss costs the other: the Pareto front, and where the mixtures that were compared stand."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import arms, drawing


def front(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Both axes are predicted losses; nothing allowed lies below and left of the line, as far as can be told."""
    found, look = mixture["pareto"], arms.looks(mixture["arms"])
    across, upwards = found["losses"]
    points = sorted((point["losses"][across], point["losses"][upwards]) for point in found["front"])
    drawn = drawing.figure(narrow, 3.5 if narrow else 4.0)
    axes = drawn.add_subplot()
    axes.plot(*zip(*points, strict=True), "-", color=drawing.INK, linewidth=1.3)
    axes.plot(*zip(*points, strict=True), "o", color=drawing.INK, markersize=3)
    shown = [arm for arm in mixture["arms"] if arm in mixture["predicted"]]
    for arm in reversed(shown):
        losses = mixture["predicted"][arm]["losses"]
        axes.plot(losses[across], losses[upwards], look[arm].marker, color=look[arm].colour, markersize=8,
                  markeredgecolor=drawing.PAPER, zorder=3)  # fmt: skip
    axes.set_xlabel(f"predicted loss on {across}, {mixture['unit']}")
    axes.set_title(f"predicted loss on {upwards}")
    axes.locator_params(nbins=5 if narrow else 7)
    front_handle = Line2D([], [], marker="o", color=drawing.INK, markersize=3, linewidth=1.3, label="front")
    drawing.legend(drawn, narrow, [front_handle, *(arms.handle(arm, look[arm]) for arm in shown)])
    return drawn
