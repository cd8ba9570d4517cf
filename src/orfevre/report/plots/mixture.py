"""The mixture: its weights against the baselines, how good the predictions were, and what each source's weight does."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orfevre.report import words

from . import drawing

KINDS = ("chosen", "natural", "uniform")


def weights(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Bars of the chosen weights with their intervals; markers for natural and uniform; brackets for the limits."""
    names = mixture["sources"]
    drawn = drawing.figure(narrow, 0.75 + (0.25 if narrow else 0.0) + 0.44 * len(names))
    axes = drawn.add_subplot()
    for row, name in enumerate(names):
        weight, (low, high) = mixture["weights"][name], mixture["intervals"][name]
        axes.barh(row, weight, height=0.5, color=drawing.MIXTURE["chosen"], alpha=0.35)
        axes.plot([low, high], [row, row], color=drawing.MIXTURE["chosen"], linewidth=2.2, solid_capstyle="butt")
        axes.plot(weight, row, "D", color=drawing.MIXTURE["chosen"], markersize=6)
        for kind, shift in (("natural", -0.17), ("uniform", 0.17)):
            axes.plot(
                mixture[kind][name],
                row + shift,
                drawing.MIXTURE_MARKER[kind],
                color=drawing.MIXTURE[kind],
                markersize=6,
            )
        _limits(axes, row, mixture["limits"][name], name in mixture["binding"])
    bound = [f"{name} *" if name in mixture["binding"] else name for name in names]
    drawing.rows_axes(axes, bound)
    axes.set_xlim(0, _room(mixture))
    axes.xaxis.set_major_formatter(lambda value, _: words.share(value, 0))
    drawing.legend(drawn, narrow, _weight_handles())
    return drawn


def _limits(axes: Axes, row: int, limits: list[float], binding: bool) -> None:
    colour, width = (drawing.INK, 2.4) if binding else (drawing.MUTED, 1.2)
    for limit in limits:
        if 0 < limit < 1:
            axes.plot([limit, limit], [row - 0.4, row + 0.4], color=colour, linewidth=width, solid_capstyle="butt")


def _room(mixture: Mapping[str, Any]) -> float:
    shown = [mixture[kind][name] for kind in ("weights", "natural", "uniform") for name in mixture["sources"]]
    shown += [mixture["intervals"][name][1] for name in mixture["sources"]]
    shown += [high for _, high in mixture["limits"].values() if high < 1]
    return min(1.02, 1.08 * float(max(shown)))


def _weight_handles() -> list[Line2D]:
    handles = [
        Line2D([], [], marker=drawing.MIXTURE_MARKER[kind], color=drawing.MIXTURE[kind], linewidth=0, label=kind)
        for kind in KINDS
    ]
    handles[0].set_linewidth(2.2)
    handles[0].set_label("chosen, with interval")
    for label, colour, width in (("limit", drawing.MUTED, 1.2), ("limit that binds *", drawing.INK, 2.4)):
        handles.append(
            Line2D([], [], marker="|", markersize=11, markeredgewidth=width, color=colour, linewidth=0, label=label)
        )
    return handles


def predicted_measured(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Leave-one-out predictions of the proxies with their intervals, and the check runs that came after."""
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
    for kind in KINDS:
        if kind not in mixture["predicted"] or kind not in mixture["measured"]:
            continue
        guess, truth = mixture["predicted"][kind], mixture["measured"][kind]
        colour = drawing.MIXTURE[kind]
        axes.plot([truth["target"]] * 2, guess["interval"], color=colour, linewidth=1.6)
        axes.plot(truth["interval"], [guess["target"]] * 2, color=colour, linewidth=1.6)
        axes.plot(
            truth["target"], guess["target"], drawing.MIXTURE_MARKER[kind], color=colour, markersize=7,
            markeredgecolor=drawing.PAPER, label=f"{kind}, check run",
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


def checks(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Each mixture's prediction with its interval, above every measured seed."""
    kinds = [kind for kind in KINDS if kind in mixture["measured"]]
    drawn = drawing.figure(narrow, 0.8 + 0.46 * len(kinds))
    axes = drawn.add_subplot()
    for row, kind in enumerate(kinds):
        colour, measured, predicted = drawing.MIXTURE[kind], mixture["measured"][kind], mixture["predicted"].get(kind)
        if predicted:
            axes.plot(predicted["interval"], [row - 0.2] * 2, color=colour, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.plot(predicted["target"], row - 0.2, "D", color=colour, markerfacecolor=drawing.PAPER, markersize=5)
        axes.plot(measured["interval"], [row + 0.16] * 2, color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot(measured["runs"], [row + 0.16] * len(measured["runs"]), "o", color=colour, markersize=5)
    drawing.rows_axes(axes, kinds)
    axes.set_xlabel(f"target loss, {mixture['unit']} (lower is better)")
    axes.locator_params(axis="x", nbins=4 if narrow else 8)
    drawing.legend(drawn, narrow, [
        Line2D([], [], marker="D", color=drawing.INK, markerfacecolor=drawing.PAPER, markersize=5, label="predicted",
               linestyle=(0, (3, 2)), linewidth=1.2),
        Line2D([], [], marker="o", color=drawing.INK, markersize=5, linewidth=0, label="measured, one seed"),
        Line2D([], [], color=drawing.INK, linewidth=5, alpha=0.3, label="interval of the mean"),
    ])  # fmt: skip
    return drawn


def price(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """The natural mixture's loss at several budgets, and where the chosen one stands with a single budget."""
    drawn = drawing.figure(narrow, 2.9 if narrow else 3.3)
    axes = drawn.add_subplot()
    found, tokens = mixture["price"], mixture["scale"]["tokens"]
    budgets = [budget for budget in found["budgets"] if budget["losses"]]
    if single := [budget["tokens"] for budget in budgets if budget["budget"] == 1]:
        tokens = single[0]
    else:
        budgets = [*budgets, {"tokens": tokens, "losses": mixture["measured"]["natural"]["runs"]}]
    budgets = sorted(budgets, key=lambda budget: budget["tokens"])
    means = [sum(budget["losses"]) / len(budget["losses"]) for budget in budgets]
    axes.plot(
        [budget["tokens"] for budget in budgets], means, "o-", color=drawing.MIXTURE["natural"], markersize=6,
        label="natural mixture",
    )  # fmt: skip
    for budget in budgets:
        seeds = [budget["tokens"]] * len(budget["losses"])
        axes.plot(seeds, budget["losses"], "_", color=drawing.MIXTURE["natural"], markersize=10)
    chosen = mixture["measured"]["chosen"]["target"]
    axes.plot(
        tokens, chosen, "D", color=drawing.MIXTURE["chosen"], markersize=7, label="chosen mixture", zorder=3,
    )  # fmt: skip
    _reach(axes, found, tokens, chosen)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: words.amount(value, ""))
    axes.set_xticks([budget["tokens"] for budget in budgets], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("training tokens of the small run")
    axes.set_title(f"target loss, {mixture['unit']}")
    drawing.legend(drawn, narrow)
    return drawn


def _reach(axes: Axes, found: Mapping[str, Any], tokens: int, chosen: float) -> None:
    """From the chosen mixture across to where the natural one reaches its loss, with the interval."""
    ratio = found["compute_ratio"]
    if ratio is None:
        axes.axhline(chosen, color=drawing.MIXTURE["chosen"], linewidth=1.0, linestyle=":")
        return
    style = ":" if found["extrapolated"] else "-"
    axes.plot(
        [tokens, tokens * ratio], [chosen, chosen], color=drawing.MIXTURE["chosen"], linewidth=1.2, linestyle=style
    )
    if found["interval"] and None not in found["interval"]:
        ends = [tokens * end for end in found["interval"]]
        axes.plot(
            ends, [chosen, chosen], color=drawing.MIXTURE["natural"], linewidth=5, alpha=0.3, solid_capstyle="butt"
        )
    axes.plot(tokens * ratio, chosen, "|", color=drawing.INK, markersize=13, markeredgewidth=1.6)
    axes.annotate(
        f"{words.times(ratio)} the compute" + (", extrapolated" if found["extrapolated"] else ""),
        (tokens * ratio, chosen), xytext=(3, 8), textcoords="offset points", ha="left", va="bottom",
        color=drawing.INK, fontsize=8.5,
    )  # fmt: skip
    axes.margins(x=0.12, y=0.2)
