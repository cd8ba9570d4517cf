"""What the choice hangs on: what a little more of each source would do, and what each limit that binds costs.

Shapes: S sources.
"""

from dataclasses import dataclass, replace

import numpy as np

from orfevre.mix import optimum
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.predictor import Predictor

STEP = 0.01
"""Share moved to a source, from all others in their proportions: one percentage point."""

ROOM = 0.1
"""A limit is loosened by this share of itself."""

DRAWS = 1000
"""Draws from the posterior behind the intervals."""


@dataclass(frozen=True)
class Shadow:
    """A limit that binds, and what loosening it would win."""

    source: str
    """A source, or a group of them."""
    side: str
    """`low` or `high`."""
    limit: float
    relaxed: float
    gain: float
    """Fall of the expected target loss, at least 0."""


def swaps(surrogate: Predictor, mixture: Array, confidence: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Change of the target loss when STEP moves to each source: expected [S], and ends of its interval [S, 2]."""
    moved = np.array([_moved(mixture, source) for source in range(len(mixture))])
    places = np.vstack([mixture, moved])
    draws = surrogate.sample(places, DRAWS, rng)
    changes = draws[:, 1:] - draws[:, :1]
    ends = np.quantile(changes, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0).T
    means = surrogate.mean(places)
    expected = means[1:] - means[0]
    return expected, np.stack([np.minimum(ends[:, 0], expected), np.maximum(ends[:, 1], expected)], axis=1)


def _moved(mixture: Array, source: int) -> Array:
    step = min(STEP, 1.0 - float(mixture[source]))
    others = 1.0 - float(mixture[source])
    moved = mixture * (1.0 - step / others if others > 0 else 1.0)
    moved[source] = mixture[source] + step
    return moved / np.sum(moved)


def shadows(surrogate: Predictor, limits: Limits, best: Array) -> list[Shadow]:
    """One for each limit that holds `best`; the optimum is sought again from there, with that limit alone loosened."""
    found = []
    reached = float(surrogate.mean(best[None])[0])
    for name in limits.binding(best):
        side, bound, relaxed, looser = _loosened(limits, best, name)
        again = optimum.climb_from(surrogate, looser, best)
        gain = max(0.0, reached - float(surrogate.mean(again[None])[0]))
        found.append(Shadow(name, side, bound, relaxed, gain))
    return found


def _loosened(limits: Limits, best: Array, name: str) -> tuple[str, float, float, Limits]:
    """Which side of the limit `name` binds, where it is, where it goes, and the limits with it there."""
    groups = {cap.name: cap for cap in limits.groups}
    if name in groups:
        cap = groups[name]
        side = "low" if cap.low > 0 and float(cap.members @ best) <= cap.low + 1e-6 else "high"
        bound, relaxed = _relaxed(side, cap.low, cap.high)
        changed = replace(cap, low=relaxed) if side == "low" else replace(cap, high=relaxed)
        others = tuple(changed if one is cap else one for one in limits.groups)
        return side, bound, relaxed, Limits(limits.sources, limits.low, limits.high, others)
    place = limits.sources.index(name)
    low, high = limits.low.copy(), limits.high.copy()
    side = "low" if low[place] > 0 and best[place] <= low[place] + 1e-6 else "high"
    bound, relaxed = _relaxed(side, float(low[place]), float(high[place]))
    (low if side == "low" else high)[place] = relaxed
    return side, bound, relaxed, Limits(limits.sources, low, high, limits.groups)


def _relaxed(side: str, low: float, high: float) -> tuple[float, float]:
    return (low, low * (1.0 - ROOM)) if side == "low" else (high, min(1.0, high * (1.0 + ROOM)))
