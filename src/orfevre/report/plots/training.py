"""The training run: loss and learning rate by step, validation loss, and the scores."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from orfevre.report import words

from . import drawing

MOST_POINTS = 1200
"""A curve is thinned to this many points by means over equal runs of steps; a page needs no more."""


def curves(rows: Sequence[Mapping[str, Any]], narrow: bool) -> Figure:
    """Training loss (each step, and a running mean), validation loss per source where measured, learning rate."""
    train = [row for row in rows if "loss" in row]
    valid = [row for row in rows if "validation" in row]
    ratios = [3.0, 2.4, 1.0] if valid else [3.0, 1.0]
    drawn = drawing.figure(narrow, 1.45 * sum(ratios) / 1.3)
    panels = drawn.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    steps, losses = _thin([row["step"] for row in train]), _thin([row["loss"] for row in train])
    panels[0].plot(steps, losses, color=drawing.MIXTURE["chosen"], linewidth=0.8, alpha=0.45)
    marker = "o" if len(steps) < 3 else ""  # a line of one point is not seen
    panels[0].plot(steps, _running_mean(losses), color=drawing.MIXTURE["chosen"], linewidth=1.8, marker=marker)
    panels[0].set_title("training loss, nats per token")
    panels[0].set_ylim(top=float(np.quantile(losses, 0.98)) * 1.08, bottom=float(losses.min()) * 0.96)
    if valid:
        _validation(panels[1], valid)
        drawing.legend(drawn, narrow, panels[1].get_legend_handles_labels()[0])
    panels[-1].plot(steps, _thin([row["learning_rate"] for row in train]), color=drawing.MUTED, linewidth=1.4)
    panels[-1].set_title("learning rate")
    panels[-1].set_ylim(bottom=0)
    panels[-1].locator_params(axis="y", nbins=3)
    panels[-1].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.set_major_formatter(lambda value, _: words.count(value))
    panels[-1].locator_params(axis="x", nbins=4 if narrow else 8)
    return drawn


def _validation(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for number, name in enumerate(rows[-1]["validation"]):
        points = [(row["step"], row["validation"][name]) for row in rows if name in row["validation"]]
        axes.plot(
            *zip(*points, strict=True), color=drawing.SERIES[number % 8],
            marker=drawing.MARKERS[(number + number // 8) % 8], markersize=5, linewidth=1.2, label=name,
        )  # fmt: skip
    axes.set_title("validation loss by source, bits per byte")


def _thin(values: Sequence[float]) -> NDArray[np.float64]:
    """Means over equal runs of the values, so that at most MOST_POINTS remain."""
    array = np.asarray(values, dtype=np.float64)
    group = ceil(len(array) / MOST_POINTS)
    if group <= 1:
        return array
    return np.add.reduceat(array, range(0, len(array), group)) / np.diff([*range(0, len(array), group), len(array)])


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the surrounding 5 %; narrower at the start, where the loss falls fast, one-sided at the end."""
    half = max(1, len(values) // 40)
    total = np.concatenate([[0.0], np.cumsum(values)])
    centre = np.arange(len(values))
    before = np.minimum(half, centre)
    after = np.minimum(before, len(values) - 1 - centre)
    mean: NDArray[np.float64] = (total[centre + after + 1] - total[centre - before]) / (before + after + 1)
    return mean


def scores(table: Mapping[str, Any], narrow: bool) -> Figure:
    """Bits per byte with their intervals, the target last."""
    rows = {**table["sources"], "target": table["target"]}
    drawn = drawing.figure(narrow, 0.6 + 0.34 * len(rows))
    axes = drawn.add_subplot()
    for row, (name, score) in enumerate(rows.items()):
        colour, marker = (drawing.INK, "D") if name == "target" else (drawing.SERIES[0], "o")
        axes.plot(score["interval"], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(score["bits_per_byte"], row, marker, color=colour, markersize=6.5, markeredgecolor=drawing.PAPER)
    drawing.rows_axes(axes, list(rows))
    axes.set_xlabel("bits per byte (lower is better)")
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    return drawn
