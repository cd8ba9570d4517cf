"""What each stage took, and how each source fared: horizontal bars, one row a stage or a source."""

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orfevre.ledger import Manifest
from orfevre.report import words

from . import drawing


def timeline(manifests: Mapping[str, Manifest], narrow: bool) -> Figure:
    """Wall time, energy and FLOPs of each stage, side by side (one below the other on a phone)."""
    panels: list[tuple[str, list[float], Callable[[float | None], str]]] = [
        ("Wall time", [made.wall_seconds for made in manifests.values()], words.duration),
        ("Energy", [made.energy_kwh for made in manifests.values()], words.energy),
        ("FLOPs", [made.flops for made in manifests.values()], words.scientific),
    ]
    each = 0.55 + 0.27 * len(manifests)
    drawn = drawing.figure(narrow, 3 * each if narrow else each)
    grid = drawn.subplots(3, 1) if narrow else drawn.subplots(1, 3)
    for number, (axes, (title, values, write)) in enumerate(zip(grid, panels, strict=True)):
        axes.barh(range(len(values)), values, height=0.62, color=drawing.SERIES[(0, 4, 2)[number]])
        drawing.rows_axes(axes, list(manifests) if narrow or not number else [""] * len(values))
        axes.set_title(title)
        _bare(axes, max([*values, 0.0]))
        for row, value in enumerate(values):
            drawing.beside(axes, value, row, write(value))
    return drawn


def drops(shares: Mapping[str, Mapping[str, float]], narrow: bool) -> Figure:
    """Of each source, the share of documents that was kept, then what each step took out; each has the same parts."""
    parts = list(next(iter(shares.values()), {}))
    drawn = drawing.figure(narrow, (0.55 if not narrow else 1.0) + 0.36 * len(shares))
    axes = drawn.add_subplot()
    handles = []
    left = [0.0] * len(shares)
    for number, part in enumerate(parts):
        values = [own[part] for own in shares.values()]
        handles.append(
            axes.barh(
                range(len(values)), values, left=left, height=0.66, label=part,
                color=drawing.SERIES[number % 8], hatch=drawing.HATCHES[(number + number // 8) % 8] or None,
                edgecolor=drawing.PAPER, linewidth=0.8,
            )
        )  # fmt: skip
        left = [start + value for start, value in zip(left, values, strict=True)]
    drawing.rows_axes(axes, list(shares))
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: words.share(value, 0))
    drawing.legend(drawn, narrow, handles, columns=6)
    return drawn


def compression(bytes_per_token: Mapping[str, float], narrow: bool) -> Figure:
    """Bytes of text that one token stands for, per source."""
    drawn = drawing.figure(narrow, 0.45 + 0.3 * len(bytes_per_token))
    axes = drawn.add_subplot()
    values = list(bytes_per_token.values())
    axes.barh(range(len(values)), values, height=0.62, color=drawing.SERIES[0])
    drawing.rows_axes(axes, list(bytes_per_token))
    _bare(axes, max(values))
    for row, value in enumerate(values):
        drawing.beside(axes, value, row, f"{value:.2f}")
    return drawn


def _bare(axes: Axes, largest: float) -> None:
    """Bars that carry their value need no scale; leave room for it."""
    axes.set_xlim(0, 1.42 * largest or 1.0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
