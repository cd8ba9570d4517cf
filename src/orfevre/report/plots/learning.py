"""The prediction as proxies come in: its error, its ranks, the best it promised; and batches, how near the best."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orfevre.report import words

from . import drawing

PANELS = (("error", "error"), ("spearman", "rank correlation"), ("best", "least loss promised"))
"""Key of a point, and what the panel is called."""


def curve(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Three panels over the runs the fit had; hollow where it was judged out of fold, for want of other runs."""
    points = mixture["learning"]
    drawn = drawing.figure(narrow, 5.4 if narrow else 2.6)
    panels = drawn.subplots(3, 1, sharex=True) if narrow else drawn.subplots(1, 3)
    for axes, (key, title) in zip(panels, PANELS, strict=True):
        shown = [point for point in points if point[key] is not None]
        runs = [point["runs"] for point in shown]
        axes.plot(runs, [point[key] for point in shown], color=drawing.MIXTURE["chosen"], linewidth=1.4)
        for point in shown:
            hollow = key != "best" and point.get("told") == "folds"
            axes.plot(point["runs"], point[key], "o", color=drawing.MIXTURE["chosen"], markersize=5,
                      markerfacecolor=drawing.PAPER if hollow else drawing.MIXTURE["chosen"])  # fmt: skip
        axes.set_title(title if key == "spearman" else f"{title}, {mixture['unit']}")
        if key == "error":
            axes.set_ylim(bottom=0)
        if key == "spearman":
            axes.set_ylim(top=1)
        _runs_axis(axes, [point["runs"] for point in points])
    for axes in panels[-1:] if narrow else panels:
        axes.set_xlabel("proxies that were fitted")
    if any(point.get("told") == "folds" for point in points):
        drawing.legend(drawn, narrow, [_judged("other proxies", True), _judged("out of fold", False)])
    return drawn


def _judged(label: str, filled: bool) -> Line2D:
    colour = drawing.MIXTURE["chosen"]
    return Line2D([], [], marker="o", color=colour, markerfacecolor=colour if filled else drawing.PAPER, linewidth=0,
                  markersize=5, label=f"judged by {label}" if filled else f"judged {label}")  # fmt: skip


def batches(mixture: Mapping[str, Any], confidence: float, narrow: bool) -> Figure:
    """How likely the choice was within epsilon of the best after each batch; `confidence` is where it would do."""
    found = mixture["batches"]
    drawn = drawing.figure(narrow, 2.3)
    axes = drawn.add_subplot()
    runs = [batch["runs"] for batch in found]
    axes.axhline(confidence, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.plot(runs, [batch["within"] for batch in found], "D-", color=drawing.MIXTURE["chosen"], markersize=6)
    for batch in found:
        aside = 9 if batch["within"] < 0.5 else -17  # points; below, a small one would lie on the axis
        axes.annotate(words.share(batch["within"], 0), (batch["runs"], batch["within"]), xytext=(0, aside),
                      textcoords="offset points", ha="center", color=drawing.INK, fontsize=8.5)  # fmt: skip
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(lambda value, _: words.share(value, 0))
    axes.margins(x=0.1)
    _runs_axis(axes, runs)
    axes.set_xlabel("small runs so far")
    axes.set_title("probability of being near the best")
    return drawn


def _runs_axis(axes: Axes, runs: list[int]) -> None:
    axes.set_xticks(runs if len(runs) <= 6 else runs[:: -(-len(runs) // 6)])
    axes.xaxis.set_major_formatter(lambda value, _: words.count(value))
