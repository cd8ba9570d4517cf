"""From measured proxies to a mixture: what was tried, the fit, the optimum. Nothing here trains or writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from orfevre.mix import optimum, surrogate
from orfevre.mix.design import design
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.predictor import Predictor
from orfevre.mix.proxies import Row, Run
from orfevre.recipe import Recipe

REPEAT_SEEDS, CHECK_SEEDS = 1000, 2000
"""Added to the recipe's seed, so that proxies, repeats and checks never share one."""

REPEATED = (0, 1)
"""Of the design: the natural and the uniform mixture."""


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
    ceilings: Array | None = None
    """Losses that must not be exceeded, [J], infinite where any will do; None without any."""
    baselines: Mapping[str, Array] = field(default_factory=dict)
    """Mixtures made by hand, [S] each."""

    @property
    def sources(self) -> tuple[str, ...]:
        return self.limits.sources

    @property
    def uniform(self) -> Array:
        """Equal shares of every source that has text, [S]."""
        has_text = self.natural > 0
        return has_text / np.count_nonzero(has_text)

    @property
    def rivals(self) -> dict[str, Array]:
        """What the chosen mixture is compared with, [S] each."""
        return {"natural": self.natural, "uniform": self.uniform, **self.baselines}

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
    told: Predictor
    """What tells losses at the largest size that was run."""
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
    ceilings = np.array([recipe.mix.max_losses.get(name, np.inf) for name in validated])
    return Problem(
        limits,
        tokens / np.sum(tokens),
        validated,
        target / np.sum(target),
        ceilings if np.any(np.isfinite(ceilings)) else None,
        {name: np.array([mixture[one] for one in limits.sources]) for name, mixture in recipe.baselines.items()},
    )


def proxy_runs(recipe: Recipe, asked: Problem) -> list[Run]:
    """The design, then repeats of the natural and of the uniform mixture in turn.

    All proxies share one seed, hence one initialisation: what it does to every loss alike does not blur the comparison.
    The repeats differ in it, so the noise they show is no less than the proxies'.
    """
    target = np.array([recipe.target.get(name, 0.0) for name in asked.sources])
    mixtures = design(asked.natural, target, asked.limits, recipe.mix.num_proxies, recipe.seed)
    again = [mixtures[row] for row in REPEATED]
    return [
        *(Run(f"p{number:03d}", "proxy", asked.named(mixture), recipe.seed) for number, mixture in enumerate(mixtures)),
        *(
            Run(
                f"r{number:03d}",
                "repeat",
                asked.named(again[number % len(again)]),
                recipe.seed + REPEAT_SEEDS + number // len(again),
            )
            for number in range(recipe.mix.repeats)
        ),
    ]


def check_seeds(recipe: Recipe) -> list[int]:
    """Seeds no proxy had: the check is a test on fresh runs."""
    return [recipe.seed + CHECK_SEEDS + number for number in range(recipe.mix.check.seeds)]


def fit(asked: Problem, rows: Sequence[Row]) -> surrogate.Surrogate:
    """The surrogate of these rows' losses. Same rows, same surrogate."""
    return surrogate.fit(asked.weights_of(rows), asked.losses_of(rows), asked.target)


def choose(asked: Problem, told: Predictor, start: Array, confidence: float, seed: int) -> Choice:
    """Minimise the target loss that `told` expects within the limits, from `start` [S] and from elsewhere."""
    rng = np.random.default_rng([seed, 2])
    best = optimum.minimise(told, asked.limits, start, rng, asked.ceilings)
    free = optimum.minimise(told, asked.limits.simplex(), best, rng)
    low, high = optimum.intervals(told, asked.limits, best, confidence, rng)
    return Choice(told, best, low, high, free)


def best_tried(asked: Problem, rows: Sequence[Row]) -> Array:
    """The mixture [S] of the row with the least target loss."""
    return np.asarray(asked.weights_of(rows)[np.argmin(asked.losses_of(rows) @ asked.target)])
