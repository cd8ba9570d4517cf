"""Which mixtures the proxies try: a few that must be there, then ones as far from each other as can be.

Distance is Euclid's between square roots of weights (Hellinger's, but for a factor): a step from 0 to 1 % counts as
much as one from 25 % to 36 %, for that is where losses move.
"""

from collections.abc import Sequence

import numpy as np

from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits

CANDIDATES_PER_RUN = 64
"""Random mixtures among which one is chosen. With far more of them, every choice lies in a corner."""

SPREADS = (0.5, 8.0)
"""Range of Dirichlet concentrations, per source: below 1 most of a draw lies in a few sources."""


def design(natural: Array, target: Array, limits: Limits, count: int, seed: int) -> Array:
    """`count` mixtures [count, S]: natural, uniform, target (the last two brought within the widened limits), then
    farthest-first ones (Gonzalez 1985) among sparse Dirichlet draws within the widened limits. Same seed, same design.

    The natural mixture is there as it is, allowed or not: it is the baseline.
    """
    rng, region = np.random.default_rng([seed, 1]), limits.widened()
    usable = (region.high > 0) / np.count_nonzero(region.high)
    first = _distinct([natural, region.project(usable), region.project(target)])[:count]
    pool = candidates(natural, region, CANDIDATES_PER_RUN * count, rng)
    chosen = farthest_first(np.vstack([first, pool]), count, fixed=len(first))
    return np.vstack([first, pool])[chosen]


def candidates(centre: Array, limits: Limits, count: int, rng: np.random.Generator) -> Array:
    """Random allowed mixtures [count, S], around `centre` and around uniform, from sparse to even."""
    size = len(centre)
    blend = rng.uniform(size=(count, 1))
    base = blend * centre + (1 - blend) / size
    concentration = size * np.exp(rng.uniform(np.log(SPREADS[0]), np.log(SPREADS[1]), size=(count, 1)))
    draws = rng.standard_gamma(np.maximum(base * concentration, 1e-3)) + 1e-12
    return limits.project(draws / np.sum(draws, axis=1, keepdims=True))


def around(centre: Array, limits: Limits, count: int, reach: tuple[float, float], rng: np.random.Generator) -> Array:
    """Random allowed mixtures [count, S] about `centre` [S], at all distances in `reach` (of a share, in roots)."""
    steps = np.exp(rng.uniform(np.log(reach[0]), np.log(reach[1]), size=(count, 1)))
    moved = np.square(np.sqrt(np.maximum(centre, 0.0)) + steps * rng.standard_normal((count, len(centre))))
    return limits.project(moved / np.sum(moved, axis=1, keepdims=True))


def farthest_first(points: Array, count: int, fixed: int = 1) -> list[int]:
    """Row numbers of `count` mixtures [m, S]: the first `fixed`, then each time the one farthest from all chosen."""
    roots = np.sqrt(points)
    chosen = list(range(fixed))
    gaps = np.min([np.sum((roots - roots[row]) ** 2, axis=1) for row in chosen], axis=0)
    gaps[chosen] = -1.0  # where many points are one, none is taken twice while others are left
    while len(chosen) < count:
        row = int(np.argmax(gaps))
        chosen.append(row)
        gaps = np.minimum(gaps, np.sum((roots - roots[row]) ** 2, axis=1))
        gaps[row] = -1.0
    return chosen


def _distinct(mixtures: Sequence[Array]) -> Array:
    kept: list[Array] = []
    for mixture in mixtures:
        if all(np.max(np.abs(mixture - other)) > 1e-6 for other in kept):
            kept.append(mixture)
    return np.array(kept)
