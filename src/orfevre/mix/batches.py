"""Which proxies to run next, given those that are measured, and whether another is worth its cost.

Shapes: n runs, S sources, J losses, m candidates, D draws. The surrogate's joint draws over a few hundred candidates
that may be the best say three things: how likely the mixture it prefers is within epsilon of the best, what one more
proxy is expected to win, and which few candidates win most together.
"""

from dataclasses import dataclass

import numpy as np

from orfevre.mix import optimum
from orfevre.mix.design import around
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.surrogate import Surrogate
from orfevre.recipe import Batches

BROAD = 4096
"""Random mixtures from which the candidates are taken."""

CANDIDATES = 384
"""Mixtures in the joint draws, at least."""

PER_RUN = 8
"""And at least so many for each run that is wanted."""

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
    places: list[int]
    """Their row numbers among the candidates."""
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
    best = optimum.minimise(fitted, limits, tried[np.argmin(fitted.mean(tried))], rng, stakes.ceilings)
    anywhere = optimum.spread_out(limits.project(np.mean(tried, axis=0)), limits, BROAD, rng)
    pool = np.vstack([best, anywhere, around(best, limits, BROAD // 2, REACH, rng)])
    return choose(fitted, limits, pool, tried, settings.model_copy(update={"runs": count}), rng, stakes)


def choose(
    fitted: Surrogate,
    limits: Limits,
    pool: Array,
    tried: Array,
    settings: Batches,
    rng: np.random.Generator,
    stakes: Stakes,
) -> Batch:
    """The batch of `settings.runs` among allowed mixtures [m, S]. To be beaten is the mixture of least expected loss in
    the pool or among those tried that are allowed."""
    every = np.vstack([pool, tried[[limits.contains(mixture) for mixture in tried]]])
    ceilings = stakes.ceilings
    excess = np.zeros(len(every)) if ceilings is None else optimum.excess(fitted, every, ceilings)
    means = fitted.mean(every) + excess
    told = int(np.argmin(means))
    hope = means[: len(pool)] - HOPE * fitted.deviation(pool)
    near = np.argsort(hope, kind="stable")[: max(CANDIDATES, PER_RUN * settings.runs)]
    draws = fitted.sample(every[[told, *near]], DRAWS, rng) + excess[[told, *near]]
    wins = np.maximum(draws[:, :1] - draws[:, 1:], 0.0)
    chosen = greedy(wins, np.sqrt(pool[near]), settings.runs, np.sqrt(tried))
    within = float(np.mean(np.max(wins, axis=1) <= settings.epsilon))
    together = float(np.mean(np.max(wins[:, chosen], axis=1)))
    one, loss = float(np.max(np.mean(wins, axis=0))), float(fitted.mean(every[[told]])[0])
    places = near[chosen].tolist()
    return Batch(pool[places], places, within, together, stop_text(within, one, loss, settings, stakes))


def greedy(wins: Array, roots: Array, count: int, done: Array) -> list[int]:
    """Row numbers of `count` candidates, each the one that adds most to the expected best of those before it.

    `wins` [D, m] are improvements in each draw (q-EI by Monte-Carlo, built up greedily: arXiv 1805.10196), `roots`
    [m, S] the candidates and `done` [n, S] what was run, in square roots of shares. None is within APART of another or
    of what was run while others are left; where nothing can win any more, it is the farthest from all those.
    """
    reached, chosen = np.zeros(len(wins)), list[int]()
    gaps = np.min(np.linalg.norm(roots[:, None] - done, axis=2), axis=1)
    while len(chosen) < min(count, len(roots)):
        gains = np.mean(np.maximum(wins, reached[:, None]), axis=0) - np.mean(reached)
        order = np.where(gaps < APART, 0.0, gains)
        order = order if np.max(order) > 0.0 else gaps
        order[chosen] = -1.0
        chosen.append(int(np.argmax(order)))
        reached = np.maximum(reached, wins[:, chosen[-1]])
        gaps = np.minimum(gaps, np.linalg.norm(roots - roots[chosen[-1]], axis=1))
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
