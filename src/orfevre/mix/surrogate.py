"""What a mixture would cost, told from measured runs: one stack of methods for each loss (stack.py).

Shapes: n runs, m mixtures asked about, S sources, J losses. The target loss is the weighted sum of the J losses: means
add, and deviations add with the correlations that the out-of-fold errors of the J stacks show. (Summed like this, 13
losses are told better than by one model of their sum: docs/decisions/surrogate.md.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import norm, rankdata

from orfevre import console
from orfevre.mix import conformal, gp, noise, stack
from orfevre.mix.gp import Array


@dataclass(frozen=True)
class Surrogate:
    """Fitted to the runs; every method is pure."""

    stacks: tuple[stack.Stack, ...]
    measured: Array
    """Losses of the runs, [n, J]."""
    folds: tuple[Array, ...]
    """Rows of each fold."""
    target: Array
    """Weight of each loss in the target loss, [J]."""
    correlation: Array
    """Correlation of the stacks' errors, [J, J]."""
    pure_error: Array | None = None
    """Deviation of one run by repeats of a mixture alone, [J]; None where no mixture was run twice."""

    def aimed(self, target: Array) -> "Surrogate":
        """The same fit, other weights [J] of the losses."""
        return replace(self, target=target)

    def losses(self, weights: Array) -> Array:
        """Expected losses of mixtures [m, S] -> [m, J]."""
        return np.stack([one.whole.mean(weights) for one in self.stacks], axis=1)

    def loss_gradients(self, weights: Array) -> Array:
        """Gradients of the expected losses at one mixture [S] -> [J, S]."""
        return np.stack([one.whole.gradient(weights) for one in self.stacks])

    def loss_deviations(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of each loss at mixtures [m, S] -> [m, J], stretched like the target's."""
        return self.loss_stretches * self._loss_doubts(weights, of_a_run)

    def mean(self, weights: Array) -> Array:
        """Expected target loss of mixtures [m, S] -> [m]."""
        means = (share * one.whole.mean(weights) for share, one in self._weighed)
        return np.asarray(sum(means, np.zeros(len(weights))))

    def gradient(self, weights: Array) -> Array:
        """Gradient of the expected target loss at one mixture [S] -> [S]."""
        slopes = (share * one.whole.gradient(weights) for share, one in self._weighed)
        return np.asarray(sum(slopes, np.zeros(len(weights))))

    def deviation(self, weights: Array, of_a_run: bool = False) -> Array:
        """Standard deviation of the target loss of mixtures [m, S] -> [m]; `of_a_run` adds the noise of one run.

        The processes' own, stretched by what the errors out of fold were of what the processes had promised.
        """
        return self.stretch * self._combine(self._loss_doubts(weights, of_a_run))

    def interval(self, weights: Array, confidence: float, of_a_run: bool = False) -> tuple[Array, Array]:
        """Low and high ends of the target loss for mixtures [m, S] -> ([m], [m]).

        Of one run: by CV+, which holds `confidence` whatever the methods think of themselves. Of the expectation: the
        stretched deviation, normal; nothing measured says more of what noise hides.
        """
        if of_a_run:
            return self._conformal(weights, self.target, confidence)
        reach = float(norm.ppf(0.5 + confidence / 2)) * self.deviation(weights)
        mean = self.mean(weights)
        return mean - reach, mean + reach

    def loss_intervals(self, weights: Array, confidence: float) -> tuple[Array, Array]:
        """CV+ ends of every loss of one run at mixtures [m, S] -> ([m, J], [m, J])."""
        ends = [self._conformal(weights, one, confidence) for one in np.eye(len(self.stacks))]
        return np.stack([low for low, _ in ends], axis=1), np.stack([high for _, high in ends], axis=1)

    def sample(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """`count` target losses drawn jointly over mixtures [m, S] -> [count, m]: the stacks' means with the processes'
        stretched deviations from them."""
        found = np.zeros((len(weights), count))
        for place, draws in self._drawn(weights, count, rng):
            found += self.target[place] * draws
        return self.mean(weights) + self.stretch * found.T

    def sample_losses(self, weights: Array, count: int, rng: np.random.Generator) -> Array:
        """Every loss drawn like `sample`, [count, m, J]; losses that weigh nothing in the target stay at their mean."""
        found = np.repeat(self.losses(weights)[None], count, axis=0)
        for place, draws in self._drawn(weights, count, rng):
            found[:, :, place] += self.loss_stretches[place] * draws.T
        return found

    def told(self, confidence: float) -> tuple[Array, Array, Array]:
        """Target loss of each run as told without its fold, and the ends of its interval there; each [n]."""
        mean = np.stack([one.told for one in self.stacks], axis=1) @ self.target
        doubt = self._combine(np.stack([one.doubt for one in self.stacks], axis=1))
        reach = _reach(np.abs(self.measured @ self.target - mean), doubt, confidence)
        return mean, mean - reach, mean + reach

    def told_losses(self, confidence: float) -> tuple[Array, Array]:
        """Ends of every run's interval for each loss, from the other runs' scaled errors; [n, J] each."""
        ends = []
        for one, loss in zip(self.stacks, self.measured.T, strict=True):
            reach = _reach(np.abs(loss - one.told), one.doubt, confidence)
            ends.append((one.told - reach, one.told + reach))
        return np.stack([low for low, _ in ends], axis=1), np.stack([high for _, high in ends], axis=1)

    @cached_property
    def stretch(self) -> float:
        """What the 90 % quantile of the target's scaled out-of-fold errors is of a normal one's."""
        errors = self._errors(self.target)
        return max(float(np.quantile(errors, 0.9)) / float(norm.ppf(0.95)), 1e-3)

    @cached_property
    def loss_stretches(self) -> Array:
        """The same for each loss, [J]."""
        errors = np.stack([self._errors(one) for one in np.eye(len(self.stacks))], axis=1)
        return np.maximum(np.quantile(errors, 0.9, axis=0) / float(norm.ppf(0.95)), 1e-3)

    @property
    def _weighed(self) -> list[tuple[float, stack.Stack]]:
        return [(float(share), one) for share, one in zip(self.target, self.stacks, strict=True) if share]

    def _loss_doubts(self, weights: Array, of_a_run: bool) -> Array:
        """The processes' own deviations, [m, J]."""
        totals = np.stack([one.whole.smooth.deviation(weights) for one in self.stacks], axis=1)
        if of_a_run:
            return totals
        noises = np.stack([one.whole.smooth.noise(weights) for one in self.stacks], axis=1)
        return np.sqrt(np.maximum(totals**2 - noises**2, 0.0))

    def _drawn(self, weights: Array, count: int, rng: np.random.Generator) -> Iterator[tuple[int, Array]]:
        """Place and joint draws [m, count], about zero, of each loss that weighs in the target."""
        root = gp.root(self.correlation)
        draws = np.tensordot(root, rng.standard_normal((len(root), len(weights), count)), axes=1)
        for place in np.flatnonzero(self.target).tolist():
            smooth = self.stacks[place].whole.smooth
            covariance = smooth.process.covariance(smooth.features(weights))
            covariance[np.diag_indices(len(weights))] += 1e-8 * (smooth.process.scale**2)
            yield place, np.linalg.cholesky(covariance) @ draws[place]

    def _errors(self, target: Array) -> Array:
        """Absolute error over doubt of each run's weighted loss, told by the blends that had not seen it, [n]."""
        told = np.stack([one.told for one in self.stacks], axis=1)
        doubt = self._combine(np.stack([one.doubt for one in self.stacks], axis=1), target)
        return np.asarray(np.abs((self.measured - told) @ target) / doubt)

    def _conformal(self, weights: Array, target: Array, confidence: float) -> tuple[Array, Array]:
        means, doubts = [], []
        for fold in range(len(self.folds)):
            blends = [one.without[fold] for one in self.stacks]
            used = [(share, blend) for share, blend in zip(target, blends, strict=True) if share]
            means.append(sum(share * blend.mean(weights) for share, blend in used))
            parts = np.zeros((len(weights), len(blends)))
            for column in np.flatnonzero(target):
                parts[:, column] = blends[column].smooth.deviation(weights)
            doubts.append(self._combine(parts, target))
        return conformal.interval(np.array(means), np.array(doubts), self._errors(target), self.folds, confidence)

    def _combine(self, deviations: Array, target: Array | None = None) -> Array:
        """Deviations of the losses [m, J] -> deviation of their weighted sum [m]."""
        parts = deviations * (self.target if target is None else target)
        return np.asarray(np.sqrt(np.maximum(np.sum((parts @ self.correlation) * parts, axis=1), 1e-24)))


def fit(weights: Array, losses: Array, target: Array) -> Surrogate:
    """Fit to runs on mixtures [n, S] that had `losses` [n, J]; `target` [J] sums to 1."""
    groups = same_mixture(weights)
    folds, louder = stack.folds_of(groups, len(weights)), noise.fit(weights, losses, groups)
    ridge = stack.choose_ridge(weights, losses, folds)
    stacks = []
    with console.progress("fitting", losses.shape[1], "loss") as bar:
        for column, one in zip(losses.T, louder, strict=True):
            stacks.append(stack.fit(weights, column, folds, ridge, one))
            bar.advance()
    correlation = _error_correlation(stacks, losses)
    return Surrogate(tuple(stacks), losses, tuple(folds), target, correlation, noise.pure_error(losses, groups))


def _reach(missed: Array, doubt: Array, confidence: float) -> Array:
    """How far each run's interval reaches, [n]: the quantile of all others' errors over their doubt, times its own."""
    errors = missed / doubt
    return np.array([np.quantile(np.delete(errors, row), confidence) for row in range(len(errors))]) * doubt


def _error_correlation(stacks: Sequence[stack.Stack], losses: Array) -> Array:
    """Correlation [J, J] of the standardised out-of-fold errors, about zero."""
    errors = np.array([(column - one.told) / one.doubt for column, one in zip(losses.T, stacks, strict=True)])
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
