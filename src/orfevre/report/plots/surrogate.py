"""How good the predictions were, and what each source's weight does."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from matplotlib.figure import Figure

from orfevre.report import words

from . import arms, drawing


def predicted_measured(mixture: Mapping[str, Any], told: bool, narrow: bool) -> Figure:
    """Out-of-fold predictions of the proxies with their intervals; where `told` (the check has the proxies' size), the
    check runs that came after."""
    drawn = drawing.figure(narrow, 3.7 if narrow else 4.3)
    axes = drawn.add_subplot()
    rows = mixture["surrogate"]["cross_validation"]
    ends = [row[key] for row in rows for key in ("measured", "predicted")]
    for row in rows:
        axes.plot([row["measured"]] * 2, [row["low"], row["high"]], color=drawing.MUTED, linewidth=0.8, alpha=0.55)
    axes.plot(
        [row["measured"] for row in rows], [row["predicted"] for row in rows], "o", color=drawing.MUTED, markersize=4,
        label="proxy, left out of the fit", markerfacecolor=drawing.PAPER, markeredgewidth=1.2,
    )  # fmt: skip
    look = arms.looks(mixture["arms"])
    for arm in mixture["arms"] if told else ():
        if arm not in mixture["predicted"] or arm not in mixture["measured"]:
            continue
        guess, truth, colour = mixture["predicted"][arm], mixture["measured"][arm], look[arm].colour
        axes.plot([truth["target"]] * 2, guess["interval"], color=colour, linewidth=1.6)
        axes.plot(truth["interval"], [guess["target"]] * 2, color=colour, linewidth=1.6)
        axes.plot(
            truth["target"], guess["target"], look[arm].marker, color=colour, markersize=7,
            markeredgecolor=drawing.PAPER, label=f"{arm}, check run", linewidth=0,
        )  # fmt: skip
        ends += [truth["target"], *truth["interval"], *guess["interval"]]
    margin = 0.06 * (max(ends) - min(ends)) or 0.01
    low, high = min(ends) - margin, max(ends) + margin
    axes.plot([low, high], [low, high], color=drawing.INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"measured, {mixture['unit']}")
    axes.set_title(f"predicted, {mixture['unit']}")
    drawing.legend(drawn, narrow)
    return drawn


def slices(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """What the surrogate says of each source's weight, the others keeping their proportions; a band is its interval."""
    names = [name for name in mixture["sources"] if name in mixture["slices"]]
    columns = 2 if narrow else min(4, len(names))
    rows = ceil(len(names) / columns)
    drawn = drawing.figure(narrow, 1.75 * rows)
    grid = drawn.subplots(rows, columns, sharey=True, squeeze=False)
    for number, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
        cut = mixture["slices"][name]
        axes.fill_between(
            cut["weight"], cut["low"], cut["high"], color=drawing.MIXTURE["chosen"], alpha=0.18, linewidth=0
        )
        axes.plot(cut["weight"], cut["predicted"], color=drawing.MIXTURE["chosen"])
        for kind, at in (("natural", mixture["natural"]), ("chosen", mixture["weights"])):
            axes.axvline(
                at[name], color=drawing.MIXTURE[kind], linewidth=1.2, linestyle="-" if kind == "chosen" else ":"
            )
        axes.set_title(drawing.shortened(name, 20))
        axes.xaxis.set_major_formatter(lambda value, _: words.share(value, 0))
        axes.locator_params(axis="x", nbins=3)
        axes.locator_params(axis="y", nbins=5)
        axes.tick_params(axis="y", length=0, labelleft=number % columns == 0)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    return drawn
