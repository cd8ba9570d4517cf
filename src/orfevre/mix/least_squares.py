"""Non-linear least squares with a ridge towards a prior, by Levenberg and Marquardt; outliers weigh less.

SciPy's `least_squares` does the same; a problem here has 500 rows and 40 unknowns and is solved hundreds of times, and
its start-up alone took longer than these iterations (docs/log.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Model = Callable[[Array], tuple[Array, Array]]
"""theta [P] -> values [n] and their derivatives [n, P]."""

MAX_ITERATIONS = 60
TOLERANCE = 1e-7
"""Relative fall of the objective at which an iteration is the last."""

LARGEST_STEP = 1.5
"""A parameter is a logarithm: it may change by a factor of 4.5 in one iteration."""

OUTLIER = 2.0
"""Residuals, in robust deviations, at which a row's weight has fallen to half (Student's t with few degrees of
freedom): a share rounded to 0 that was not 0 leaves errors twenty times the usual."""

ROUNDS = 3
"""Times the rows are weighed anew, where there are at least twice as many as parameters: with fewer the fit passes so
near most rows that honest ones look like outliers (Spearman 0.96 became 0.95 at 32 runs)."""


@dataclass(frozen=True)
class Prior:
    """Where parameters are drawn to, and how strongly (per unit of `ridge`); both [P]."""

    mean: Array
    strength: Array


def robust(model: Model, y: Array, prior: Prior, ridge: float, start: Array | None = None) -> Array:
    """Parameters [P] for observations `y` [n] of unit variance, with outliers weighed down."""
    theta = solve(model, y, np.ones(len(y)), prior, ridge, prior.mean if start is None else start)
    for _ in range(ROUNDS if len(y) >= 2 * len(theta) else 0):
        theta = solve(model, y, trust(y - model(theta)[0]), prior, ridge, theta)
    return theta


def trust(residuals: Array) -> Array:
    """Weight of each row [n], 0 to 1: that of a Student likelihood of scale OUTLIER robust deviations."""
    spread = 1.4826 * float(np.median(np.abs(residuals)))
    if spread == 0.0:
        return np.ones(len(residuals))
    return np.asarray(1.0 / (1.0 + (residuals / (OUTLIER * spread)) ** 2))


def solve(model: Model, y: Array, weights: Array, prior: Prior, ridge: float, start: Array) -> Array:
    """The parameters [P] of least sum(weights (model - y)^2) + sum((ridge strength (theta - mean))^2)."""
    roots, pull = np.sqrt(weights), ridge * prior.strength

    def system(theta: Array) -> tuple[Array, Array]:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # a step too far is refused below
            values, slopes = model(theta)
        residual = np.concatenate([(values - y) * roots, pull * (theta - prior.mean)])
        return residual, np.vstack([slopes * roots[:, None], np.diag(pull)])

    theta, damping = start.copy(), 1e-2
    residual, jacobian = system(theta)
    least = float(residual @ residual)
    for _ in range(MAX_ITERATIONS):
        hessian, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        while True:
            damped = hessian + damping * np.diag(np.diag(hessian) + 1e-9)
            step = np.clip(np.linalg.solve(damped, -gradient), -LARGEST_STEP, LARGEST_STEP)
            tried, slopes = system(theta + step)
            found = float(tried @ tried)
            if np.isfinite(found) and found < least:
                break
            damping *= 4.0
            if damping > 1e8:
                return theta
        fall = least - found
        theta, residual, jacobian, least = theta + step, tried, slopes, found
        damping = max(damping / 5.0, 1e-10)
        if fall < TOLERANCE * least:
            break
    return theta
