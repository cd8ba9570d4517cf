"""The target loss over the three sources that matter most: a triangle whose corners are one source each."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from orfevre.report import words

from . import arms, drawing

LEVELS = 8
"""Bands from the least loss to the largest, each wider than the last: what matters lies near the least."""

FAINTEST, DEEPEST = 0.06, 0.8
"""Opacity of the band with the largest loss and of that with the least."""

Array = NDArray[np.float64]


def triangle(mixture: Mapping[str, Any], proxies: Sequence[Mapping[str, Any]], narrow: bool) -> Figure:
    """`proxies` are rows with weights; a mixture is set where the proportions of its three shares are."""
    found = mixture["ternary"]
    drawn = drawing.figure(narrow, 3.9 if narrow else 5.0)
    axes = drawn.add_subplot()
    places, triangles = _places(np.array(found["points"]) / found["together"]), _triangles(found)
    mesh = Triangulation(places[:, 0], places[:, 1], triangles)
    told = np.array(found["predicted"])
    levels = float(told.min()) + (float(np.ptp(told)) + 1e-9) * np.linspace(0, 1, LEVELS + 1) ** 2
    shades = [to_rgba(drawing.MIXTURE["chosen"], opacity) for opacity in np.linspace(DEEPEST, FAINTEST, LEVELS)]
    axes.tricontourf(mesh, told, levels=levels, colors=shades)
    axes.tricontour(mesh, told, levels=levels[1:-1], colors=drawing.PAPER, linewidths=0.8)
    _frame(axes, found)
    _key(axes, levels, shades)
    dots = np.array([place for row in proxies if (place := _place(found, row["weights"])) is not None])
    if len(dots):
        axes.plot(dots[:, 0], dots[:, 1], "o", color=drawing.INK, markerfacecolor="none", markersize=3.5,
                  markeredgewidth=0.9)  # fmt: skip
    look = arms.looks(mixture["arms"])
    shown = {arm: _place(found, arms.weights_of(mixture, arm)) for arm in mixture["arms"]}
    for arm, place in shown.items():
        size = 12 if arm == "chosen" else 8  # a rival may lie right on it
        if place is not None:
            axes.plot(*place, look[arm].marker, color=look[arm].colour, markersize=size, markeredgecolor=drawing.PAPER,
                      markeredgewidth=1.4, zorder=3, clip_on=False)  # fmt: skip
    handles = [arms.handle(arm, look[arm]) for arm in mixture["arms"] if shown[arm] is not None]
    handles.append(Line2D([], [], marker="o", color=drawing.INK, markerfacecolor="none", markersize=4, linewidth=0,
                          label="proxy"))  # fmt: skip
    drawing.legend(drawn, narrow, handles)
    return drawn


def _places(shares: Array) -> Array:
    """Shares of three [m, 3] -> places [m, 2]: the first source's corner below left, the second's right, the third's
    on top."""
    return np.stack([shares[:, 1] + shares[:, 2] / 2, shares[:, 2] * sqrt(3) / 2], axis=1)


def _place(found: Mapping[str, Any], weights: Mapping[str, float]) -> Array | None:
    """None for a mixture that has none of the three."""
    three = np.array([[weights.get(name, 0.0) for name in found["sources"]]])
    return _places(three / three.sum())[0] if three.sum() > 1e-3 else None


def _triangles(found: Mapping[str, Any]) -> NDArray[np.int64]:
    """Neighbours on the grid, three at a time, [t, 3]; points that were left out have none."""
    counts = np.rint(np.array(found["points"]) * found["steps"] / found["together"]).astype(int)
    at = {(i, j): number for number, (i, j, _) in enumerate(counts.tolist())}
    corners = [
        corner
        for i, j in at
        for corner in (((i, j), (i + 1, j), (i, j + 1)), ((i, j), (i, j + 1), (i - 1, j + 1)))
        if all(one in at for one in corner)
    ]
    return np.array([[at[one] for one in corner] for corner in corners], dtype=np.int64).reshape(-1, 3)


def _key(axes: Axes, levels: Array, shades: Sequence[tuple[float, ...]]) -> None:
    """Bands and the losses between them, in the corner that the triangle leaves free."""
    key = axes.inset_axes((0.82, 0.52, 0.035, 0.46))
    for number, shade in enumerate(shades):
        key.barh(number, 1, height=1, color=shade)
    key.set(xlim=(0, 1), ylim=(-0.5, len(shades) - 0.5), xticks=[])
    key.set_yticks([number - 0.5 for number in range(len(levels))], [f"{level:.3f}" for level in levels])
    key.tick_params(axis="y", length=0, labelsize=7.5, labelright=True, labelleft=False)
    key.grid(False)
    key.spines[:].set_visible(False)


def _frame(axes: Axes, found: Mapping[str, Any]) -> None:
    """The triangle's sides, its corners' names with the share they stand for, and a fine line at a half of each."""
    corners = _places(np.eye(3))
    axes.plot(*np.vstack([corners, corners[:1]]).T, color=drawing.MUTED, linewidth=1.0)
    axes.set(xlim=(-0.16, 1.16), ylim=(-0.13, 0.98))
    axes.set_aspect("equal")
    axes.axis("off")
    whole = words.share(found["together"], 0)
    placing: tuple[tuple[float, float, str], ...] = ((0, -14, "left"), (0, -14, "right"), (0, 6, "center"))
    for name, corner, (x, y, side) in zip(found["sources"], corners, placing, strict=True):
        place = (-0.14 if side == "left" else 1.14 if side == "right" else float(corner[0]), float(corner[1]))
        axes.annotate(f"{drawing.shortened(name, 20)} {whole}", place, xytext=(x, y), textcoords="offset points",
                      ha=side, color=drawing.INK, fontsize=8.5)  # fmt: skip
