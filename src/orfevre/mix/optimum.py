"""The best allowed mixture by the surrogate, where else the best may lie, and what moving one source does."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, minimize

from orfevre.mix.design import candidates, farthest_first
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.predictor import Predictor

BROAD = 2048
"""Random mixtures among which the climbs begin."""

CLIMBS = 8
"""Climbs, from mixtures far from each other among the best tenth of those: there may be several valleys."""

RIVALS = 300
"""Mixtures among which the optimum is sought in each draw from the posterior, and as many again near the optimum."""

DRAWS = 500
"""Draws from the posterior behind the intervals."""

TOUCHES = 1e-5
"""A share this close to a limit is on it: a loader cannot tell them apart."""

NEXT_TO_NOTHING = 1e-6
"""Loss that a share put on its limit may cost: a share of 1e-17 is of no use to anyone."""

PENALTY = 1e4
"""Weight of a ceiling's excess among mixtures that are compared."""

SLICE_POINTS = 21


@dataclass(frozen=True)
class Slice:
    """Target loss along one source's weight, the others in their proportions; arrays [SLICE_POINTS]."""

    weight: Array
    predicted: Array
    low: Array
    high: Array


def minimise(
    surrogate: Predictor, limits: Limits, start: Array, rng: np.random.Generator, ceilings: Array | None = None
) -> Array:
    """The allowed mixture [S] of least expected target loss: SLSQP from `start` and among many random ones.

    `ceilings` [J] are losses that must not be exceeded (infinite where any will do); where no mixture keeps them all,
    the one that comes nearest is returned.
    """
    pool = np.vstack([limits.project(start), spread_out(limits.project(start), limits, BROAD, rng)])
    ranked = pool[np.argsort(_cost(surrogate, pool, ceilings), kind="stable")[: BROAD // 10]]
    best = ranked[farthest_first(ranked, min(CLIMBS, len(ranked)))]
    top = best_climb(surrogate, limits, best, ceilings)
    without = limits.project(top - np.eye(len(top)))  # each source at its least in turn: losses bend most there
    top = best_climb(surrogate, limits, np.vstack([top, without]), ceilings)
    settled = settle(top, limits)
    costs = _cost(surrogate, np.stack([settled, top]), ceilings)
    return settled if costs[0] <= costs[1] + NEXT_TO_NOTHING else top


def _cost(surrogate: Predictor, mixtures: Array, ceilings: Array | None) -> Array:
    """What is minimised over mixtures [m, S] -> [m]: the target loss, and PENALTY times what exceeds a ceiling."""
    if ceilings is None:
        return surrogate.mean(mixtures)
    return np.asarray(surrogate.mean(mixtures) + excess(surrogate, mixtures, ceilings))


def excess(surrogate: Predictor, mixtures: Array, ceilings: Array) -> Array:
    """PENALTY times what mixtures [m, S] are expected to exceed ceilings [J] by, [m]."""
    return np.asarray(PENALTY * np.sum(np.maximum(surrogate.losses(mixtures) - ceilings, 0.0), axis=1))


def climb_from(surrogate: Predictor, limits: Limits, start: Array) -> Array:
    """The allowed mixture [S] at the end of a climb from `start`, and from `start` without each source in turn."""
    begun = limits.project(start)
    without = limits.project(begun - np.eye(len(begun)))
    return settle(best_climb(surrogate, limits, np.vstack([begun, without])), limits)


def best_climb(surrogate: Predictor, limits: Limits, starts: Array, ceilings: Array | None = None) -> Array:
    """The best of `starts` [m, S] and of where climbs from them end."""
    ends = limits.project(np.array([_climb(surrogate, limits, start, ceilings) for start in starts]))
    every = np.vstack([starts, ends])
    return np.asarray(every[np.argmin(_cost(surrogate, every, ceilings))])


def spread_out(centre: Array, limits: Limits, count: int, rng: np.random.Generator) -> Array:
    """`count` random allowed mixtures [count, S], half of them between two others: under tight limits the draws
    themselves are pushed together onto a few corners."""
    draws = candidates(centre, limits, count, rng)
    half = count // 2
    share = rng.uniform(size=(half, 1))
    draws[:half] = limits.project(share * draws[:half] + (1 - share) * draws[rng.integers(half, count, half)])
    return draws


def settle(mixture: Array, limits: Limits) -> Array:
    """The allowed mixture [S] with shares that all but touch a limit put on it; the share with most room pays."""
    settled = np.where(mixture - limits.low < TOUCHES, limits.low, mixture)
    settled = np.where(limits.high - mixture < TOUCHES, limits.high, settled)
    roomiest = int(np.argmax(np.minimum(settled - limits.low, limits.high - settled)))
    settled[roomiest] += 1.0 - np.sum(settled)
    return settled if limits.contains(settled) else mixture


def _climb(surrogate: Predictor, limits: Limits, start: Array, ceilings: Array | None) -> Array:
    def loss(weights: Array) -> float:
        return float(surrogate.mean(np.maximum(weights, 0.0)[None])[0])

    def slope(weights: Array) -> Array:
        return surrogate.gradient(np.maximum(weights, 0.0))

    table, lower, upper = limits.rows()
    constraints: list[LinearConstraint | NonlinearConstraint] = [LinearConstraint(table[:1], lower[:1], upper[:1])]
    if limits.groups:
        constraints.append(LinearConstraint(table[1:], lower[1:], upper[1:]))
    if ceilings is not None:
        constraints.append(_held_losses(surrogate, ceilings))
    result = minimize(
        loss,
        start,
        jac=slope,
        bounds=Bounds(limits.low, limits.high),
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 200, "ftol": 1e-10},
    )
    return np.asarray(result.x) if np.all(np.isfinite(result.x)) else start


def _held_losses(surrogate: Predictor, ceilings: Array) -> NonlinearConstraint:
    held = np.flatnonzero(np.isfinite(ceilings))
    alone = [surrogate.aimed(np.eye(len(ceilings))[place]) for place in held]  # the other losses are not asked for

    def losses(weights: Array) -> Array:
        return np.array([one.mean(np.maximum(weights, 0.0)[None])[0] for one in alone])

    def slopes(weights: Array) -> Array:
        return np.stack([one.gradient(np.maximum(weights, 0.0)) for one in alone])

    return NonlinearConstraint(losses, -np.inf, ceilings[held], jac=slopes)


def intervals(
    surrogate: Predictor, limits: Limits, best: Array, confidence: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Low and high weight [S] of each source in the optimum, given what was measured.

    In each draw of the loss from the posterior the best of many mixtures is noted; the ends are quantiles of those.
    They are stretched to hold `best`, which need not be the optimum of any draw.
    """
    near = limits.project(best + 0.1 * rng.standard_normal((RIVALS, 1)) * rng.standard_normal((RIVALS, len(best))))
    rivals = np.vstack([best, spread_out(best, limits, RIVALS, rng), near])
    winners = rivals[np.argmin(surrogate.sample(rivals, DRAWS, rng), axis=1)]
    low, high = np.quantile(winners, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.minimum(low, best), np.maximum(high, best)


def slices(surrogate: Predictor, mixture: Array, high: Array, confidence: float) -> list[Slice]:
    """One for each source, from 0 to `high` [S], the largest weight explored."""
    found = []
    for source in range(len(mixture)):
        weight = np.linspace(0.0, max(float(high[source]), float(mixture[source])), SLICE_POINTS)
        others = np.delete(mixture, source)
        total = float(np.sum(others))
        shares = others / total if total > 0 else np.full(len(others), 1 / max(len(others), 1))
        places = np.insert((1 - weight)[:, None] * shares, source, weight, axis=1)
        low, high_end = surrogate.interval(places, confidence)
        found.append(Slice(weight, surrogate.mean(places), low, high_end))
    return found
