"""Which proxies to run next, given those that are measured, and whether another is worth its cost.

Shapes: n runs, S sources, J losses, m candidates, D draws. The surrogate's joint draws over a few hundred candidates
that may be the best say three things: how likely the mixture it prefers is within epsilon of the best, what one more
proxy is expected to win, and which few candidates win most together.
"""

from dataclasses import dataclass

import numpy as np

from orfevre.mix import optimum
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.surrogate import Surrogate, same_mixture
from orfevre.recipe import Batches

BROAD = 4096
"""Random mixtures from which the candidates are taken."""

CANDIDATES = 384
"""Mixtures in the joint draws."""

DRAWS = 1000
"""Joint draws of the target loss; a probability of 95 % is known to within 1.4 points."""

HOPE = 2.0
"""Candidates are those of least mean minus this many deviations: only they can be the best."""

REACH = (0.003, 0.1)
"""Range of the steps, in square roots of shares, from the mixture preferred to those tried around it."""

APART = 0.02
"""Least distance between two mixtures of a batch, in square roots of shares."""


@dataclass(frozen=True)
class Stakes:
    """What is at stake besides the losses."""

    target_flops: float = 0.0
    """FLOPs of the run the mixture is for; 0 where no one said, and then cost never stops a batch."""
    proxy_flops: float = 0.0
    """FLOPs of one proxy."""
    ceilings: Array | None = None
    """Losses that must not be exceeded, [J], infinite where any will do."""


@dataclass(frozen=True)
class Batch:
    mixtures: Array
    """What to run next, [count, S]."""
    within: float
    """Probability that the mixture preferred so far is within epsilon of the best."""
    improvement: float
    """Expected improvement of the target loss over that mixture by the best of the batch, in the losses' unit."""
    stop: str
    """Why no more proxies are needed, in words; empty where they are."""


def next_batch(
    fitted: Surrogate,
    limits: Limits,
    tried: Array,
    count: int,
    settings: Batches,
    seed: int,
    stakes: Stakes | None = None,
) -> Batch:
    """The `count` allowed mixtures that are expected to win most together, after runs on `tried` [n, S].

    Same runs, same batch: the draws are seeded by `seed` and the number of runs.
    """
    stakes = stakes or Stakes()
    rng = np.random.default_rng([seed, 3, len(tried)])
    pool = candidates(fitted, limits, tried, rng, stakes.ceilings)
    return decide(fitted, pool, count, settings, rng, stakes)


def candidates(
    fitted: Surrogate, limits: Limits, tried: Array, rng: np.random.Generator, ceilings: Array | None = None
) -> Array:
    """CANDIDATES allowed mixtures that may be the best, the one of least expected loss first, [m, S].

    Some lie anywhere, some near the best of them, at all distances, for there the loss is decided.
    """
    allowed = tried[[limits.contains(mixture) for mixture in tried]]
    anywhere = optimum.spread_out(limits.project(np.mean(tried, axis=0)), limits, BROAD, rng)
    best = optimum.minimise(fitted, limits, tried[np.argmin(fitted.mean(tried))], rng, ceilings)
    steps = np.exp(rng.uniform(np.log(REACH[0]), np.log(REACH[1]), size=(BROAD // 2, 1)))
    near = np.square(np.sqrt(best) + steps * rng.standard_normal((BROAD // 2, len(best))))
    pool = np.vstack([best, allowed, anywhere, limits.project(near / np.sum(near, axis=1, keepdims=True))])
    pool = pool[[rows[0] for rows in same_mixture(pool)]]
    hope = fitted.mean(pool) - HOPE * fitted.deviation(pool) + _excess(fitted, pool, ceilings)
    return pool[[0, *(1 + np.argsort(hope[1:], kind="stable")[: CANDIDATES - 1])]]


def _excess(fitted: Surrogate, pool: Array, ceilings: Array | None) -> Array:
    """What mixtures [m, S] are expected to exceed the ceilings by, made dear, [m]."""
    if ceilings is None:
        return np.zeros(len(pool))
    return np.asarray(optimum.PENALTY * np.sum(np.maximum(fitted.losses(pool) - ceilings, 0.0), axis=1))


def decide(
    fitted: Surrogate, pool: Array, count: int, settings: Batches, rng: np.random.Generator, stakes: Stakes
) -> Batch:
    """The batch among mixtures [m, S]; the one of least expected loss is the one to be beaten."""
    excess = _excess(fitted, pool, stakes.ceilings)
    told = int(np.argmin(fitted.mean(pool) + excess))
    draws = fitted.sample(pool, DRAWS, rng) + excess
    wins = np.maximum(draws[:, [told]] - draws, 0.0)
    chosen = greedy(wins, np.sqrt(pool), count)
    within = float(np.mean(np.max(wins, axis=1) <= settings.epsilon))
    one = float(np.max(np.mean(wins, axis=0)))
    together = float(np.mean(np.max(wins[:, chosen], axis=1)))
    loss = float(fitted.mean(pool[[told]])[0])
    return Batch(pool[chosen], within, together, stop_text(within, one, loss, settings, stakes))


def greedy(wins: Array, roots: Array, count: int) -> list[int]:
    """Row numbers of `count` candidates, each the one that adds most to the expected best of those before it.

    `wins` [D, m] are improvements in each draw (q-EI by Monte-Carlo, built up greedily: arXiv 1805.10196). None is
    within APART of another while others are left; where nothing can win any more, the farthest from those chosen.
    """
    reached, chosen = np.zeros(len(wins)), list[int]()
    gaps = np.full(wins.shape[1], np.inf)
    while len(chosen) < min(count, wins.shape[1]):
        gains = np.mean(np.maximum(wins, reached[:, None]), axis=0) - np.mean(reached)
        gains[gaps < APART] = -1.0
        gains[chosen] = -2.0
        best = int(np.argmax(gains))
        if gains[best] <= 0.0 and chosen:
            best = int(np.argmax(np.where(np.isin(np.arange(len(gaps)), chosen), -1.0, gaps)))
        chosen.append(best)
        reached = np.maximum(reached, wins[:, best])
        gaps = np.minimum(gaps, np.sqrt(np.sum((roots - roots[best]) ** 2, axis=1)))
    return chosen


def stop_text(within: float, improvement: float, loss: float, settings: Batches, stakes: Stakes) -> str:
    """Why to stop, or nothing. `improvement` is what one more proxy is expected to win of the target loss `loss`."""
    if within > settings.confidence:
        return (
            f"the chosen mixture is within {settings.epsilon:g} of the best with probability {within:.0%}, more than "
            f"the {settings.confidence:.0%} asked"
        )
    if stakes.target_flops and (won := worth(improvement, loss, settings.exponent, stakes)) < stakes.proxy_flops:
        return (
            f"another proxy is expected to win {improvement:.5f} of the loss, worth {won:.2g} FLOPs of the target run, "
            f"and costs {stakes.proxy_flops:.2g}"
        )
    return ""


def worth(improvement: float, loss: float, exponent: float, stakes: Stakes) -> float:
    """FLOPs that the target run would need on top for the same improvement: loss falls as compute^-exponent
    (arXiv 2001.08361, section 1.2), so that one lower by a share s takes (1 - s)^(-1 / exponent) times the compute."""
    share = min(improvement / loss, 0.5) if loss > 0 else 0.5
    return stakes.target_flops * float((1.0 - share) ** (-1.0 / exponent) - 1.0)
