"""A table of runs as a truth of which any mixture can be asked: the stack fitted to all of them, with noise.

Where the next runs are best spent is measured on it: in batches where the loss may be least, or on more of the design.
"""

from dataclasses import dataclass

import numpy as np

from orfevre.mix import batches, optimum, surrogate
from orfevre.mix.design import design
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.recipe import Batches

TARGETS, TARGETED = 12, 3
"""Random targets, each over so many of the losses."""

NOISE = 0.03
"""Of a run, in deviations of its loss over the table."""

DESIGNED, BATCH, TIMES = 24, 4, 2
"""Runs of the design before the batches, runs of each batch, and how many batches there are."""


@dataclass(frozen=True)
class Emulator:
    """One target over a few losses. Shapes: m mixtures, S sources, T losses of the target."""

    truth: surrogate.Surrogate
    """Aimed at the target."""
    losses: list[int]
    """Columns of the truth that weigh in the target, T of them."""
    noise: Array
    """Deviation of a run, [T]."""
    natural: Array
    limits: Limits
    spread: float
    """Deviation of the target loss over the table."""

    @property
    def target(self) -> Array:
        return self.truth.target[self.losses]

    def measure(self, mixtures: Array, rng: np.random.Generator) -> Array:
        """Losses of one run of each mixture [m, S] -> [m, T]."""
        told = self.truth.losses(mixtures)[:, self.losses]
        return np.asarray(told + self.noise * rng.standard_normal(told.shape))

    def reached(self, tried: Array, measured: Array) -> float:
        """True target loss of the optimum of a fit to runs, in deviations over the table."""
        fitted = surrogate.fit(tried, measured, self.target)
        best = optimum.minimise(fitted, self.limits, self.natural, np.random.default_rng(1))
        return float(self.truth.mean(best[None])[0]) / self.spread

    def least(self) -> float:
        """That of the true optimum."""
        best = optimum.minimise(self.truth, self.limits, self.natural, np.random.default_rng(1))
        return float(self.truth.mean(best[None])[0]) / self.spread


def regrets(weights: Array, losses: Array) -> dict[str, Array]:
    """Regret of the optimum found from each set of runs, in deviations of the target over the table, [TARGETS]."""
    truth = surrogate.fit(weights, losses, np.full(losses.shape[1], 1 / losses.shape[1]))
    found = np.array([_regrets(_emulator(truth, weights, losses, seed), seed) for seed in range(TARGETS)])
    more = DESIGNED + TIMES * BATCH
    names = (f"{DESIGNED} by design", f"{more} by design", f"{DESIGNED} by design and {TIMES} batches of {BATCH}")
    return dict(zip(names, found.T, strict=True))


def _emulator(truth: surrogate.Surrogate, weights: Array, losses: Array, seed: int) -> Emulator:
    rng, size = np.random.default_rng([seed, 9]), weights.shape[1]
    chosen = np.sort(rng.permutation(losses.shape[1])[:TARGETED])
    target = np.zeros(losses.shape[1])
    target[chosen] = rng.dirichlet(np.full(len(chosen), 0.5))
    aimed = truth.aimed(target)
    free = Limits(tuple(str(place) for place in range(size)), np.zeros(size), np.ones(size))
    noise, spread = NOISE * np.std(losses[:, chosen], axis=0), float(np.std(aimed.mean(weights)))
    return Emulator(aimed, chosen.tolist(), noise, weights.mean(axis=0), free, spread)


def _regrets(real: Emulator, seed: int) -> tuple[float, float, float]:
    """From the design alone, from more of it, and from the design with batches."""
    rng = np.random.default_rng([seed, 10])
    tried = design(real.natural, real.natural, real.limits, DESIGNED + TIMES * BATCH, seed)
    measured = real.measure(tried, rng)
    least, more = real.least(), real.reached(tried, measured)
    tried, measured = tried[:DESIGNED], measured[:DESIGNED]
    begun = real.reached(tried, measured)
    for _ in range(TIMES):
        fitted = surrogate.fit(tried, measured, real.target)
        following = batches.next_batch(fitted, real.limits, tried, BATCH, Batches(), seed).mixtures
        tried, measured = np.vstack([tried, following]), np.vstack([measured, real.measure(following, rng)])
    return begun - least, more - least, real.reached(tried, measured) - least
