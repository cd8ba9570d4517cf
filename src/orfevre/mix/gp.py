"""A Gaussian process for a few dozen noisy runs: exact, in NumPy, every gradient analytic.

Shapes: n runs, m places asked about, D features. Kernel between features x and x':

    signal^2 * matern52(|(x - x') / lengths|) + 1

The 1 is a constant mean integrated out (Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 4.17 and
section 2.7). Observations add noise^2 on the diagonal, or (noise ratio)^2 where runs differ in how noisy they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

ROOT5 = 5.0**0.5
JITTER = 1e-8
"""Added to the diagonal: below any noise that matters, enough for two equal runs to factor."""

LENGTH_SIGMA = 0.7
"""Spread of log lengths around sqrt(2) + log(D)/2, the centre of arXiv 2402.02229, eq. 6 (there sqrt(3), which leaves
too much freedom at a few dozen runs: see docs/decisions/surrogate.md)."""

PRIORS = {"signal": (0.0, 1.0), "noise": (-2.5, 1.0)}
"""Mean and spread of the logs, observations having unit variance."""

STARTS = ((0.0, -2.5), (-1.0, -1.5), (0.7, -3.5))
"""Where the likelihood is climbed from: added to the log lengths, log noise."""

MAX_CLIMBED = 160
"""Runs the hyper-parameters are found from, by one climb; with more, a seeded draw of them. All runs condition the
process. At 410 runs this ranks as well as all of them and takes a fourteenth of the time."""

OUTLIER = 3.0
"""Noise deviations at which a run's own noise has doubled in variance (a Student likelihood, iterated)."""


@dataclass(frozen=True)
class Process:
    """A fitted process. `theta` holds log lengths [D], log signal, log noise; observations are
    `centre + scale * y`."""

    x: Array
    """Features of the runs, [n, D]."""
    theta: Array
    centre: float
    scale: float
    y: Array
    """Standardised observations, [n]."""
    lower: Array
    """Cholesky factor of the kernel matrix with noise, [n, n]."""
    alpha: Array
    """Inverse kernel matrix times the standardised observations, [n]."""

    @property
    def noise(self) -> float:
        """Standard deviation of one run around the process, in the unit of the observations."""
        return float(np.exp(self.theta[-1])) * self.scale

    def mean(self, x: Array) -> Array:
        """Posterior mean at x [m, D] -> [m]."""
        return self.centre + self.scale * (kernel(self.theta, x, self.x) @ self.alpha)

    def mean_gradient(self, x: Array) -> Array:
        """Gradient of the posterior mean at one place x [D] -> [D]."""
        lengths, signal = _unpack(self.theta)
        steps = (x - self.x) / lengths
        distance = np.sqrt(np.sum(steps**2, axis=1))
        push = -(signal**2) * _matern_slope(distance) * self.alpha
        gradient: Array = self.scale * (push @ steps) / lengths
        return gradient

    def variance(self, x: Array) -> Array:
        """Posterior variance of the process (noise not included) at x [m, D] -> [m]."""
        known = solve_triangular(self.lower, kernel(self.theta, self.x, x), lower=True)
        _, signal = _unpack(self.theta)
        left: Array = signal**2 + 1.0 - np.sum(known**2, axis=0)
        return self.scale**2 * np.maximum(left, 0.0)

    def covariance(self, x: Array) -> Array:
        """Posterior covariance of the process at x [m, D] -> [m, m]."""
        known = solve_triangular(self.lower, kernel(self.theta, self.x, x), lower=True)
        return self.scale**2 * (kernel(self.theta, x, x) - known.T @ known)


def fit(
    x: Array, observed: Array, starts: Sequence[tuple[float, float]] = STARTS, ratio: Array | None = None
) -> Process:
    """The process whose hyper-parameters are likeliest after seeing `observed` [n] at `x` [n, D].

    `ratio` [n]: noise of each run relative to `noise`; 1 where not given.
    """
    ratio = np.ones(len(x)) if ratio is None else ratio
    centre, scale = float(np.mean(observed)), float(np.std(observed)) or 1.0
    if len(x) <= MAX_CLIMBED:
        theta = _likeliest(x, (observed - centre) / scale, ratio**2, starts)
    else:
        rows = np.random.default_rng(len(x)).permutation(len(x))[:MAX_CLIMBED]
        theta = _likeliest(x[rows], (observed[rows] - centre) / scale, ratio[rows] ** 2, STARTS[:1])
    return condition(x, observed, theta, centre, scale, ratio)


def _likeliest(x: Array, y: Array, loudness: Array, starts: Sequence[tuple[float, float]]) -> Array:
    squares = (x[:, None, :] - x[None, :, :]) ** 2
    best, least = None, np.inf
    for lengths, noise in starts:
        first = _prior_means(x.shape[1])
        first[: x.shape[1]] += lengths
        first[-1] = noise
        bounds = [(mean - 6.0, mean + 6.0) for mean in _prior_means(x.shape[1])]
        found = minimize(
            objective, first, args=(y, squares, loudness), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": 200},
        )  # fmt: skip
        if found.fun < least:
            best, least = found.x, float(found.fun)
    if best is None:
        raise ValueError("the likelihood is nowhere finite; are the observations?")
    return np.asarray(best)


def condition(
    x: Array, observed: Array, theta: Array, centre: float, scale: float, ratio: Array | None = None
) -> Process:
    """The process with these hyper-parameters after seeing `observed` [n] at `x` [n, D], outliers weighed down.

    A run whose residual is large for the noise gets more noise of its own: t-likelihood by iterated reweighting.
    """
    y, near, noise = (observed - centre) / scale, kernel(theta, x, x), np.exp(2.0 * theta[-1])
    noise = noise * (np.ones(len(y)) if ratio is None else ratio**2)
    factor = np.ones(len(y))
    for _ in range(4):
        matrix = near + np.diag(noise * factor + JITTER)
        lower = cholesky(matrix, lower=True)
        alpha = cho_solve((lower, True), y)
        factor = 1.0 + (noise * factor * alpha) ** 2 / (OUTLIER**2 * noise)  # noise times alpha is the residual
    return Process(x, theta, centre, scale, y, lower, alpha)


def objective(theta: Array, y: Array, squares: Array, loudness: Array) -> tuple[float, Array]:
    """Minus the log of likelihood times prior, and its gradient. `squares` are the runs' squared steps, [n, n, D];
    `loudness` [n] their noise's variance relative to noise^2."""
    lengths, signal = _unpack(theta)
    distance = np.sqrt(squares @ lengths**-2.0)
    near = signal**2 * _matern(distance)
    noise = np.exp(2.0 * theta[-1])
    matrix = near + 1.0
    matrix[np.diag_indices_from(matrix)] += noise * loudness + JITTER
    try:
        factor = cho_factor(matrix, lower=True)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    alpha = cho_solve(factor, y)
    value = 0.5 * y @ alpha + np.sum(np.log(np.diag(factor[0]))) + 0.5 * len(y) * np.log(2 * np.pi)
    push = 0.5 * (cho_solve(factor, np.eye(len(y))) - np.outer(alpha, alpha))  # half K^-1 - alpha alpha^T
    stretch = push * (signal**2 * _matern_slope(distance))
    gradient = np.empty_like(theta)
    gradient[:-2] = np.tensordot(stretch, squares, axes=2) / lengths**2
    gradient[-2:] = 2 * np.sum(push * near), 2 * noise * (loudness @ np.diag(push))
    gap, spread = theta - _prior_means(len(lengths)), _prior_spreads(len(lengths))
    return float(value + 0.5 * np.sum((gap / spread) ** 2)), gradient + gap / spread**2


def root(covariance: Array) -> Array:
    """R [J, J] with R R^T the covariance, which need not have full rank: R times normal draws is drawn from it."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def kernel(theta: Array, a: Array, b: Array) -> Array:
    """Kernel without noise between a [m, D] and b [n, D] -> [m, n]."""
    lengths, signal = _unpack(theta)
    scaled_a, scaled_b = a / lengths, b / lengths
    squares = np.sum(scaled_a**2, axis=1)[:, None] + np.sum(scaled_b**2, axis=1) - 2 * scaled_a @ scaled_b.T
    return signal**2 * _matern(np.sqrt(np.maximum(squares, 0.0))) + 1.0


def _matern(distance: Array) -> Array:
    """Matern 5/2 of a scaled distance."""
    return (1.0 + ROOT5 * distance + 5.0 / 3.0 * distance**2) * np.exp(-ROOT5 * distance)


def _matern_slope(distance: Array) -> Array:
    """Minus the derivative of Matern 5/2 by half the squared distance; finite at zero."""
    return 5.0 / 3.0 * (1.0 + ROOT5 * distance) * np.exp(-ROOT5 * distance)


def _unpack(theta: Array) -> tuple[Array, float]:
    return np.exp(theta[:-2]), float(np.exp(theta[-2]))


def _prior_means(num_features: int) -> Array:
    length = 2.0**0.5 + 0.5 * np.log(num_features)
    return np.array([length] * num_features + [PRIORS[name][0] for name in ("signal", "noise")])


def _prior_spreads(num_features: int) -> Array:
    return np.array([LENGTH_SIGMA] * num_features + [PRIORS[name][1] for name in ("signal", "noise")])
