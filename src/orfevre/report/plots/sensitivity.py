"""What one percentage point more of each source would do to the target loss: a tornado."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from . import drawing


def swaps(mixture: Mapping[str, Any], narrow: bool) -> Figure:
    """Bars from zero with their intervals, the source that would help most on top."""
    found = mixture["swaps"]
    names = ordered(found)
    drawn = drawing.figure(narrow, 0.6 + 0.34 * len(names))
    axes = drawn.add_subplot()
    for row, name in enumerate(names):
        change, (low, high) = found[name]["change"], found[name]["interval"]
        axes.barh(row, change, height=0.5, color=drawing.MIXTURE["chosen"], alpha=0.35)
        axes.plot([low, high], [row, row], color=drawing.MIXTURE["chosen"], linewidth=2.2, solid_capstyle="butt")
        axes.plot(change, row, "D", color=drawing.MIXTURE["chosen"], markersize=5)
    axes.axvline(0, color=drawing.INK, linewidth=1.0)
    drawing.rows_axes(axes, names)
    axes.set_xlabel(
        "left of zero helps" if narrow else f"change of the target loss, {mixture['unit']}: left of zero helps"
    )
    return drawn


def ordered(found: Mapping[str, Any]) -> list[str]:
    """Sources by the change they would make, the most helpful first."""
    return sorted(found, key=lambda name: (found[name]["change"], name))
