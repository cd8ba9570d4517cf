"""Limits built from groups and a ratio, and the fewest limits that no mixture keeps together, in words."""

from collections.abc import Callable, Sequence

import numpy as np

from orfevre.mix.gp import Array
from orfevre.mix.limits import TOLERANCE, Cap, Limits
from orfevre.recipe import Group

REMEDY = "Loosen or remove one of them"

Why = Callable[[str, int], str]
"""(`low` or `high`, place of the source) -> where that limit comes from."""


def caps(groups: Sequence[Group], names: Sequence[str]) -> tuple[Cap, ...]:
    return tuple(
        Cap(one.name, np.array([float(name in one.sources) for name in names]), one.min_weight, one.max_weight)
        for one in groups
    )


def trusted(limits: Limits, natural: Array, ratio: float) -> Limits:
    """Each share between natural / ratio and natural x ratio, where that is tighter; explicit limits win."""
    low = np.minimum(np.maximum(limits.low, natural / ratio), limits.high)
    high = np.maximum(np.minimum(limits.high, natural * ratio), low)
    return Limits(limits.sources, low, high, limits.groups)


def possible(limits: Limits) -> bool:
    """Whether any mixture keeps them all."""
    low, high = limits.low, limits.high
    if np.any(low > high + TOLERANCE) or np.sum(low) > 1 + TOLERANCE or np.sum(high) < 1 - TOLERANCE:
        return False
    return limits.middle is not None


def smallest(limits: Limits, why: Why) -> list[str]:
    """A line for each of the fewest limits that are impossible together.

    Each is left out in turn, for good if the rest is still impossible (a deletion filter; Chinneck and Dravnieks 1991).
    """
    wanted = [("low", place) for place in np.flatnonzero(limits.low > 0).tolist()]
    wanted += [("high", place) for place in np.flatnonzero(limits.high < 1).tolist()]
    wanted += [("group", place) for place in range(len(limits.groups))]
    kept = list(wanted)
    for one in wanted:
        fewer = [other for other in kept if other != one]
        if not possible(_only(limits, fewer)):
            kept = fewer
    return [f"  {_said(limits, side, place, why)}" for side, place in kept]


def _only(limits: Limits, kept: Sequence[tuple[str, int]]) -> Limits:
    low, high = np.zeros_like(limits.low), np.ones_like(limits.high)
    for side, place in kept:
        if side == "low":
            low[place] = limits.low[place]
        elif side == "high":
            high[place] = limits.high[place]
    groups = tuple(cap for place, cap in enumerate(limits.groups) if ("group", place) in kept)
    return Limits(limits.sources, low, high, groups)


def _said(limits: Limits, side: str, place: int, why: Why) -> str:
    if side == "group":
        cap = limits.groups[place]
        members = [name for name, counts in zip(limits.sources, cap.members, strict=True) if counts]
        return f"group {cap.name}: {', '.join(members)} between {cap.low:g} and {cap.high:g} together"
    bound, words = (limits.low[place], "at least") if side == "low" else (limits.high[place], "at most")
    return f"{limits.sources[place]}: {words} {bound:.4f} ({why(side, place)})"
