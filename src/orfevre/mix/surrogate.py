"""What a mixture would cost in bits per byte, told from the proxies: one Gaussian process for each source's loss.

Shapes: n runs, m mixtures asked about, S sources, J losses. The target loss is the weighted sum of the J losses: means
add, and the deviations add with the correlations that the leave-one-out errors of the J processes show. (Summed like
this, 13 losses are told better than by one process on their sum, and the intervals hold what they promise; figures in
docs/decisions/surrogate.md.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from orfevre.mix import gp
from orfevre.mix.gp import Array

FLOOR = 0.003
"""Features are log(weight + FLOOR): what the first 0.3 % of a source do is beyond what a proxy can tell."""


@dataclass(frozen=True)
class Surrogate:
    """Fitted to the runs; every method is pure."""

    shift: Array
    """Mean of each feature over the runs, [S]."""
    spread: Array
    """Standard deviation of each feature over the runs, [S]."""
    processes: tuple[gp.Process, ...]
    target: Array
    """Weight of each loss in the target loss, [J]."""
    correlation: Array
    """Correlation of the processes' errors, [J, J]."""

    def features(self, weights: Array) -> Array:
        return (np.log(weights + FLOOR) - self.shift) / self.spread

    def losses(self, weights: Array) -> Array:
        """Expected losses of mixtures [m, S] -> [m, J]."""
        x = self.features(weights)
        return np.stack([process.mean(x) for process in self.processes], axis=1)

    def mean(self, weights: Array) -> Array:
        """Expected target loss of mixtures [m, S] -> [m]."""
        return self.losses(weights) @ self.target

    def gradient(self, weights: Array) -> Array:
        """Gradient of the expected target loss at one mixture [S] -> [S]."""
        x = self.features(weights)
        pairs = zip(self.target, self.processes, strict=True)
        slope = sum((share * process.mean_gradient(x) for share, process in pairs if share), np.zeros_like(x))
        return slope / self.spread / (weights + FLOOR)

    def deviation(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of the target loss of mixtures [m, S] -> [m]; `of_a_run` adds the noise of one run."""
        x = self.features(weights)
        variances = [p.variance(x) + (p.noise**2 if of_a_run else 0.0) for p in self.processes]
        return self._combine(np.sqrt(np.stack(variances, axis=1)))

    def interval(self, weights: Array, confidence: float, of_a_run: bool = False) -> tuple[Array, Array]:
        """Low and high ends for mixtures [m, S] -> ([m], [m])."""
        reach = float(norm.ppf(0.5 + confidence / 2)) * self.deviation(weights, of_a_run)
        mean = self.mean(weights)
        return mean - reach, mean + reach

    def sample(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """`count` target losses drawn from the posterior, jointly over mixtures [m, S] -> [count, m]."""
        x = self.features(weights)
        values, vectors = np.linalg.eigh(self.correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        draws = np.tensordot(root, rng.standard_normal((len(root), len(x), count)), axes=1)
        found = np.zeros((len(x), count))
        for share, process, draw in zip(self.target, self.processes, draws, strict=True):
            if share:
                covariance = process.covariance(x)
                covariance[np.diag_indices(len(x))] += 1e-8 * (process.scale**2)
                found += share * (process.mean(x)[:, None] + np.linalg.cholesky(covariance) @ draw)
        return found.T

    def leave_out(self, groups: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """Target loss of each run [n] as told without its group, and its deviation [n], noise included."""
        told = [process.leave_out(groups) for process in self.processes]
        means, variances = (np.stack([pair[side] for pair in told], axis=1) for side in (0, 1))
        return means @ self.target, self._combine(np.sqrt(variances))

    def _combine(self, deviations: Array) -> Array:
        """Deviations of the losses [m, J] -> deviation of their weighted sum [m]."""
        parts = deviations * self.target
        return np.asarray(np.sqrt(np.maximum(np.sum((parts @ self.correlation) * parts, axis=1), 0.0)))


def fit(weights: Array, losses: Array, target: Array) -> Surrogate:
    """Fit to runs on mixtures [n, S] that had `losses` [n, J]; `target` [J] sums to 1."""
    logs = np.log(weights + FLOOR)
    shift, spread = np.mean(logs, axis=0), np.std(logs, axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)  # a source that no run varies
    x = (logs - shift) / spread
    processes = tuple(gp.fit(x, column) for column in losses.T)
    return Surrogate(shift, spread, processes, target, error_correlation(processes, losses, same_mixture(weights)))


def error_correlation(processes: Sequence[gp.Process], losses: Array, groups: Sequence[Sequence[int]]) -> Array:
    """Correlation [J, J] of the standardised leave-one-out errors, about zero."""
    told = [process.leave_out(groups) for process in processes]
    errors = np.array([(column - mean) / np.sqrt(var) for column, (mean, var) in zip(losses.T, told, strict=True)])
    products = errors @ errors.T
    scale = np.sqrt(np.maximum(np.diag(products), 1e-12))
    correlation: Array = products / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def same_mixture(weights: Array) -> list[list[int]]:
    """Rows [n, S] grouped by equal mixture, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for row, mixture in enumerate(np.round(weights, 9) + 0.0):
        groups.setdefault(mixture.tobytes(), []).append(row)
    return list(groups.values())


def spearman(a: Array, b: Array) -> float | None:
    """Rank correlation; None where one side does not vary."""
    ranks = rankdata(a), rankdata(b)
    if min(float(np.ptp(rank)) for rank in ranks) == 0.0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])
