"""What tells losses of mixtures: the surrogate at the proxies' scale, or a rung of the ladder above it.

The optimiser and the report ask one of these and need not know which. Shapes: m mixtures, S sources, J losses.
"""

from typing import Protocol, Self

import numpy as np

from orfevre.mix.gp import Array


class Predictor(Protocol):
    @property
    def target(self) -> Array:
        """Weight of each loss in the target loss, [J]."""

    @property
    def correlation(self) -> Array:
        """Correlation of the losses' errors, [J, J]."""

    def aimed(self, target: Array) -> Self:
        """The same fit, other weights [J] of the losses."""

    def losses(self, weights: Array) -> Array:
        """Expected losses of mixtures [m, S] -> [m, J]."""

    def loss_gradients(self, weights: Array) -> Array:
        """At one mixture [S] -> [J, S]."""

    def loss_deviations(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of each loss at mixtures [m, S] -> [m, J]; `of_a_run` adds the noise of one run."""

    def loss_intervals(self, weights: Array, confidence: float) -> tuple[Array, Array]:
        """Ends of every loss of one run, [m, J] each."""

    def mean(self, weights: Array) -> Array:
        """Expected target loss of mixtures [m, S] -> [m]."""

    def gradient(self, weights: Array) -> Array:
        """Gradient of the expected target loss at one mixture [S] -> [S]."""

    def deviation(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of the target loss, [m]."""

    def interval(self, weights: Array, confidence: float, of_a_run: bool = False) -> tuple[Array, Array]:
        """Ends of the target loss, [m] each."""

    def sample(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Expected target losses drawn jointly over mixtures, [count, m]."""

    def sample_losses(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Expected losses drawn jointly, [count, m, J]; those that weigh nothing in the target stay at their mean."""
