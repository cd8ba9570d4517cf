"""How every plot is drawn: one look, and colours that follow the page from light to dark.

Matplotlib cannot write a CSS variable, so plots are drawn in placeholder colours, which become variables in the page
(`themed`) and plain colours in the files under plots/ (`plain`).
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDE, NARROW = 8.6, 3.55
"""Inches; at 72 points an inch the text keeps its size on a desktop and on a phone 390 pixels wide."""

THEME = {  # name: placeholder, light, dark
    "ink": ("#010101", "#1f1b16", "#ece6da"),
    "muted": ("#010102", "#6a6155", "#a89f90"),
    "grid": ("#010103", "#e4ddd0", "#3a352d"),
    "paper": ("#010104", "#fffdf9", "#1e1b17"),
    "chosen": ("#010105", "#1a66a8", "#6fb5f0"),
    "natural": ("#010106", "#c2540a", "#f39a55"),
    "uniform": ("#010107", "#756a86", "#b9aecb"),
    "series0": ("#010110", "#1a66a8", "#6fb5f0"),
    "series1": ("#010111", "#c2540a", "#f39a55"),
    "series2": ("#010112", "#0b7a5c", "#4cc7a0"),
    "series3": ("#010113", "#a13d78", "#e391bf"),
    "series4": ("#010114", "#8f6f00", "#dcbd4e"),
    "series5": ("#010115", "#3d97bd", "#8fd3ee"),
    "series6": ("#010116", "#7a4a2b", "#c79a7b"),
    "series7": ("#010117", "#6a6155", "#a89f90"),
}
"""Hues after Okabe and Ito, told apart with any colour vision; every series has a marker or a hatch besides."""

INK, MUTED, GRID, PAPER = (THEME[name][0] for name in ("ink", "muted", "grid", "paper"))
MIXTURE = {name: THEME[name][0] for name in ("chosen", "natural", "uniform")}
MIXTURE_MARKER = {"chosen": "D", "natural": "o", "uniform": "s"}
SERIES = [THEME[f"series{number}"][0] for number in range(8)]
MARKERS = "os^Dv<>p"
HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++", "//")
"""Lines only: dots are drawn as Bezier circles, hundreds of kB of them."""

LETTER, HANDLE = 0.065, 0.42
"""Inches: a letter of a legend, and an entry's handle with the space around it."""

_RC: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "orfevre", "font.family": "sans-serif", "font.size": 9.0,
    "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": GRID, "axes.facecolor": "none",
    "axes.titlesize": 9.0, "axes.titlecolor": INK, "axes.titlelocation": "left", "axes.titlepad": 7.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": GRID, "grid.linewidth": 0.7, "xtick.color": GRID, "ytick.color": GRID, "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "legend.frameon": False,
    "legend.fontsize": 8.5, "legend.handlelength": 1.4, "legend.columnspacing": 1.4, "legend.borderaxespad": 0.0,
    "lines.linewidth": 1.6, "hatch.linewidth": 0.6, "figure.facecolor": "none", "savefig.facecolor": "none",
    "axes.unicode_minus": True, "path.simplify": True,
}  # fmt: skip
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_SHORTHAND = re.compile(r"font:[^;]*?([\d.]+px)[^;]*")  # how Matplotlib before 3.10 writes a font


def style() -> Any:
    """Context in which figures are made and written."""
    return mpl.rc_context(_RC)


def figure(narrow: bool, height: float) -> Figure:
    """An empty figure as wide as its place on the page; `height` in inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.05, hspace=0.06)
    drawn = Figure(figsize=(NARROW if narrow else WIDE, height), layout=layout)
    FigureCanvasSVG(drawn)
    return drawn


def rows_axes(axes: Axes, names: Sequence[str]) -> None:
    """Horizontal rows from top to bottom, one a name: ticks in ink, no lines across."""
    wide = axes.get_figure(root=True).get_figwidth() > NARROW  # type: ignore[union-attr]
    axes.set_yticks(range(len(names)), [shortened(name, 28 if wide else 14) for name in names], color=INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)


def shortened(name: str, limit: int) -> str:
    """A name of up to 64 letters would leave no room for the bars; the table beside the plot has it whole."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def legend(drawn: Figure, narrow: bool, handles: Sequence[Any] | None = None, columns: int = 0) -> None:
    """Above the plot, left; `columns`, or as many as there is room for."""
    if handles is None:
        handles = [handle for axes in drawn.axes for handle in axes.get_legend_handles_labels()[0]]
    labels = [shortened(str(handle.get_label()), 26) for handle in handles]
    place: Literal["outside upper left"] = "outside upper left"
    room = NARROW if narrow else WIDE
    drawn.legend(list(handles), labels, loc=place, ncols=columns or _columns([len(label) for label in labels], room))


def _columns(lengths: Sequence[int], room: float) -> int:
    """As many columns of a legend as `room` inches hold; Matplotlib fills one after the other, long ones first."""
    for columns in range(len(lengths), 1, -1):
        rows, longer = divmod(len(lengths), columns)
        ends = [(rows + 1) * column if column <= longer else rows * column + longer for column in range(columns + 1)]
        widest = [max(lengths[first:last]) for first, last in pairwise(ends)]
        if sum(LETTER * letters + HANDLE for letters in widest) <= room:
            return columns
    return 1


def beside(axes: Axes, value: float, row: int, text: str) -> None:
    """A bar's value, just right of its end."""
    axes.annotate(
        text, (value, row), xytext=(4, 0), textcoords="offset points", va="center_baseline", color=INK, fontsize=8.5
    )


def svg(drawn: Figure, name: str, title: str, alt: str) -> str:
    """The figure as accessible SVG text in placeholder colours. Ids nothing points to are gone, the rest prefixed."""
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(buffer.getvalue())
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', buffer.getvalue()))
    for element in list(root.iter()):
        _clean(element, name, used)
    for definitions in list(root):  # its metadata, and a style sheet that would reach the whole page
        if definitions.tag.endswith("metadata") or definitions.find(f"{{{_SVG}}}style") is not None:
            root.remove(definitions)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "class": "drawing"}
    for place, (tag, text) in enumerate((("title", title), ("desc", alt))):
        label = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        label.text = text
        root.insert(place, label)
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode")


def themed(text: str) -> str:
    """For the page: placeholder colours become CSS variables."""
    for name, (placeholder, _, _) in THEME.items():
        text = text.replace(placeholder, f"var(--{name})")
    return text


def plain(text: str) -> str:
    """For a file of its own: light colours on paper, and a font stack."""
    for placeholder, light, _ in THEME.values():
        text = text.replace(placeholder, light)
    background = f"background:{THEME['paper'][1]};font-family:system-ui,sans-serif"
    return text.replace("<svg ", f'<svg style="{background}" ', 1)


def palette() -> str:
    """CSS: the colours as variables, light by default and on paper, dark where the reader asked for it on a screen."""
    light, dark = (";".join(f"--{name}:{row[place]}" for name, row in THEME.items()) for place in (1, 2))
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _clean(element: ET.Element, name: str, used: set[str]) -> None:
    identifier = element.attrib.pop("id", None)
    if identifier in used:
        element.set("id", f"{name}-{identifier}")
    if (href := element.attrib.pop(_HREF, None)) is not None:
        element.set("href", href.replace("#", f"#{name}-"))
    for key, value in element.attrib.items():
        element.set(key, " ".join(value.replace("url(#", f"url(#{name}-").split()))
    element.tail = None
    if element.tag == f"{{{_SVG}}}text":
        style_text = _FAMILY.sub("", element.get("style", ""))
        element.set("style", _SHORTHAND.sub(r"font-size: \1", style_text))
    elif element.text is not None and not element.text.strip():
        element.text = None
