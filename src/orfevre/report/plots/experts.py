"""What the experts were sent: maps of the load by layer and expert, and what a token's expert tells of its source."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from . import drawing

LARGEST_LABELLED = 12
"""Experts up to which a cell of a map carries its figure."""

SHADES = 12
"""Steps between the fair share and twice it; cells of one step are one path, however many they are."""


def load_maps(load: Mapping[str, Sequence[Sequence[float]]], narrow: bool) -> Figure:
    """A map of layers by experts for each source: blue above the fair share, orange below it, figures in per cent."""
    names = list(load)
    layers, experts = len(load[names[0]]), len(load[names[0]][0])
    columns = 1 if narrow else min(2, len(names))
    rows = ceil(len(names) / columns)
    drawn = drawing.figure(narrow, rows * (0.62 + 0.21 * min(layers, 32)))
    grid = drawn.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        _load_map(axes, np.asarray(load[name], dtype=np.float64))
        axes.set_title(drawing.shortened(name, 40))
        axes.set_xticks(range(experts) if experts <= 16 else range(0, experts, ceil(experts / 8)))
        axes.set_yticks(range(layers) if layers <= 12 else range(0, layers, ceil(layers / 8)))
        axes.set(xlim=(-0.5, experts - 0.5), ylim=(layers - 0.5, -0.5))
        axes.tick_params(length=0)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    for axes in grid[-1, :]:
        axes.set_xlabel("expert")
    for axes in grid[:, 0]:
        axes.set_ylabel("layer")
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    return drawn


def _load_map(axes: Axes, shares_LE: NDArray[np.float64]) -> None:
    experts = shares_LE.shape[1]
    excess_LE = (shares_LE * experts - 1).clip(-1, 1)  # 0 is the fair share, 1 is twice it, -1 is nothing
    step_LE = np.rint(excess_LE * SHADES).astype(np.int64)
    for step in np.unique(step_LE[step_LE != 0]).tolist():
        cells = [_cell(layer, expert) for layer, expert in np.argwhere(step_LE == step).tolist()]
        colour = drawing.SERIES[0] if step > 0 else drawing.SERIES[1]
        shade = round(abs(step) / SHADES * 0.75, 3)
        axes.add_patch(PathPatch(Path.make_compound_path(*cells), facecolor=colour, edgecolor="none", alpha=shade))
    if experts > LARGEST_LABELLED:
        return
    for layer, row in enumerate(shares_LE):
        for expert, share in enumerate(row):
            axes.text(expert, layer, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=drawing.INK)


def _cell(layer: int, expert: int) -> Path:
    left, right, top, bottom = expert - 0.47, expert + 0.47, layer - 0.45, layer + 0.45
    return Path([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], closed=True)


def information(layers: Sequence[Mapping[str, Any]], narrow: bool) -> Figure:
    """Bits that a token's expert tells of its source, by layer; the band is what chance alone would show."""
    drawn = drawing.figure(narrow, 2.3)
    axes = drawn.add_subplot()
    places = range(len(layers))
    if all(row["chance_95"] is not None for row in layers):
        high = [row["chance_95"] for row in layers]
        axes.fill_between(
            places, 0, high, color=drawing.SERIES[1], alpha=0.25, linewidth=0, step="mid", label="by chance, 95 % below"
        )
        axes.plot(places, high, "_", color=drawing.SERIES[1], markersize=12, markeredgewidth=1.6)
    axes.plot(
        places, [row["mutual_information"] for row in layers], "o-", color=drawing.SERIES[0], markersize=6,
        label="measured",
    )  # fmt: skip
    drawing.legend(drawn, narrow)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("bits")
    axes.set_xlabel("layer")
    axes.set_xticks(places if len(layers) <= 16 else range(0, len(layers), ceil(len(layers) / 8)))
    axes.set_xlim(-0.5, len(layers) - 0.5)
    return drawn
