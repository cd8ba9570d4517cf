"""From measured proxies to a mixture: what was tried, the fit, the optimum. Nothing here trains or writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orfevre.mix import optimum, surrogate
from orfevre.mix.design import design
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.proxies import Row, Run
from orfevre.recipe import Recipe

REPEAT_SEEDS, CHECK_SEEDS = 1000, 2000
"""Added to the recipe's seed, so that proxies, repeats and checks never share one."""


@dataclass(frozen=True)
class Problem:
    """The question a mixture answers; arrays are in the order of `limits.sources`."""

    limits: Limits
    natural: Array
    """Shares of the training tokens, [S]."""
    validated: tuple[str, ...]
    """Sources with held-out text, J of them."""
    target: Array
    """Weight of each validated source in the target loss, [J]."""

    @property
    def sources(self) -> tuple[str, ...]:
        return self.limits.sources

    @property
    def uniform(self) -> Array:
        """Equal shares of every source that has text, [S]."""
        has_text = self.natural > 0
        return has_text / np.count_nonzero(has_text)

    def named(self, values: Array) -> dict[str, float]:
        return dict(zip(self.sources, np.asarray(values).tolist(), strict=True))

    def weights_of(self, rows: Sequence[Row]) -> Array:
        """[n, S]."""
        return np.array([[row["weights"][name] for name in self.sources] for row in rows])

    def losses_of(self, rows: Sequence[Row]) -> Array:
        """[n, J]."""
        return np.array([[row["losses"][name] for name in self.validated] for row in rows])


@dataclass(frozen=True)
class Choice:
    surrogate: surrogate.Surrogate
    weights: Array
    """The chosen mixture, [S]."""
    low: Array
    high: Array
    """Where the optimum lies, [S]."""
    unconstrained: Array
    """The optimum without limits, [S]."""


def problem(recipe: Recipe, train_tokens: Mapping[str, int], limits: Limits, validated: tuple[str, ...]) -> Problem:
    tokens = np.array([train_tokens[name] for name in limits.sources], dtype=np.float64)
    target = np.array([recipe.target.get(name, 0.0) for name in validated])
    return Problem(limits, tokens / np.sum(tokens), validated, target / np.sum(target))


def proxy_runs(recipe: Recipe, asked: Problem) -> list[Run]:
    """The design and the repeats of the natural mixture.

    All proxies share one seed, hence one initialisation: what it does to every loss alike does not blur the comparison.
    The repeats differ in it, so the noise they show is no less than the proxies'.
    """
    target = np.array([recipe.target.get(name, 0.0) for name in asked.sources])
    mixtures = design(asked.natural, target, asked.limits, recipe.mix.num_proxies, recipe.seed)
    runs = [
        Run(f"p{number:03d}", "proxy", asked.named(mixture), recipe.seed) for number, mixture in enumerate(mixtures)
    ]
    return runs + [
        Run(f"r{number:03d}", "repeat", asked.named(asked.natural), recipe.seed + REPEAT_SEEDS + number)
        for number in range(recipe.mix.repeats)
    ]


def check_seeds(recipe: Recipe) -> list[int]:
    """Seeds no proxy had: the check is a test on fresh runs."""
    return [recipe.seed + CHECK_SEEDS + number for number in range(recipe.mix.check_seeds)]


def choose(asked: Problem, rows: Sequence[Row], confidence: float, seed: int) -> Choice:
    """Fit the rows and minimise the expected target loss within the limits. Same rows, same choice."""
    tried, losses = asked.weights_of(rows), asked.losses_of(rows)
    fitted = surrogate.fit(tried, losses, asked.target)
    start = tried[np.argmin(losses @ asked.target)]
    rng = np.random.default_rng([seed, 2])
    best = optimum.minimise(fitted, asked.limits, start, rng)
    free = optimum.minimise(fitted, asked.limits.simplex(), best, rng)
    low, high = optimum.intervals(fitted, asked.limits, best, confidence, rng)
    return Choice(fitted, best, low, high, free)
