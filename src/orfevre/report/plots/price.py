"""What the same loss would have cost: the natural mixture on several budgets, and how far it must go."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orfevre.report import words

from . import drawing


def price(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """The natural mixture's loss at several budgets, and where the chosen one stands with a single budget."""
    drawn = drawing.figure(narrow, 2.9 if narrow else 3.3)
    axes = drawn.add_subplot()
    found, tokens = mixture["price"], mixture["scales"]["check"]["tokens"]
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
