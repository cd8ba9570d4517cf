"""What the choice hangs on: what a little more of each source would do, and what each limit that binds costs.

Shapes: S sources.
"""

from dataclasses import dataclass

import numpy as np

from orfevre.mix import optimum
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.surrogate import Surrogate

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
    side: str
    """`low` or `high`."""
    limit: float
    relaxed: float
    gain: float
    """Fall of the expected target loss, at least 0."""


def swaps(surrogate: Surrogate, mixture: Array, confidence: float, rng: np.random.Generator) -> tuple[Array, Array]:
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


def shadows(surrogate: Surrogate, limits: Limits, best: Array) -> list[Shadow]:
    """One for each limit that holds `best`; the optimum is sought again from there, with that limit alone loosened."""
    found = []
    reached = float(surrogate.mean(best[None])[0])
    for name in limits.binding(best):
        place = limits.sources.index(name)
        low, high = limits.low.copy(), limits.high.copy()
        side = "low" if limits.low[place] > 0 and best[place] <= limits.low[place] + 1e-6 else "high"
        if side == "low":
            low[place] *= 1.0 - ROOM
        else:
            high[place] = min(1.0, high[place] * (1.0 + ROOM))
        looser = Limits(limits.sources, low, high)
        again = optimum.climb_from(surrogate, looser, best)
        bound, relaxed = (limits.low, low) if side == "low" else (limits.high, high)
        gain = max(0.0, reached - float(surrogate.mean(again[None])[0]))
        found.append(Shadow(name, side, float(bound[place]), float(relaxed[place]), gain))
    return found
