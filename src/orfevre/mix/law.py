"""Two laws of a loss as a function of the mixture, each fitted to a few dozen runs by ridge-regularised least squares.

Shapes: n runs, m mixtures, S sources.

Effective data: `L(r) = c + A (b + sum_j a_j (r_j + FLOOR)^g_j)^-alpha`. Each source gives a loss as much data as a
power of its share is worth, and the loss falls as a power of that sum, as it does with data (arXiv 2203.15556, eq. 2).

Log-linear: `L(r) = c + exp(k + sum_j t_j r_j)` (arXiv 2403.16952, eq. 6).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from orfevre.mix import least_squares
from orfevre.mix.least_squares import Array, Prior

FLOOR = 1e-4
"""Added to shares: what a run knows of a source that it never saw is not nothing, but nearly."""

HEAD = 4
"""Parameters before the sources' own: c, log A, log b, log alpha."""

Kind = Literal["effective", "loglinear"]


@dataclass(frozen=True)
class Law:
    """A fitted law; `centre` and `scale` are those of the losses, whose law has mean 0 and deviation 1."""

    kind: Kind
    theta: Array
    """[4 + 2 S] for effective data, [2 + S] for log-linear."""
    centre: float
    scale: float

    def mean(self, weights: Array) -> Array:
        """Losses of mixtures [m, S] -> [m]."""
        values, _ = _model(self.kind, weights)(self.theta)
        return self.centre + self.scale * values

    def gradient(self, weights: Array) -> Array:
        """Gradient of the loss at one mixture [S] -> [S]."""
        if self.kind == "loglinear":
            slopes: Array = np.exp(self.theta[1] + weights @ self.theta[2:]) * self.theta[2:]
            return self.scale * slopes
        amplitude, base, alpha, worth, power = _effective_parts(self.theta)
        shares = weights + FLOOR
        data = base + worth @ shares**power
        outer = -alpha * amplitude * data ** (-alpha - 1.0)
        return np.asarray(self.scale * outer * worth * power * shares ** (power - 1.0))


def fit(kind: Kind, weights: Array, losses: Array, ridge: float, start: Array | None = None) -> Law:
    """The law that is likeliest after mixtures [n, S] had `losses` [n]; `ridge` holds it near its prior."""
    centre, scale = float(np.mean(losses)), float(np.std(losses)) or 1.0
    prior = _prior(kind, weights.shape[1])
    theta = least_squares.robust(_model(kind, weights), (losses - centre) / scale, prior, ridge, start)
    return Law(kind, theta, centre, scale)


def _prior(kind: Kind, num_sources: int) -> Prior:
    """Losses have unit variance: amplitudes near 2, and sources that all help alike and with falling returns."""
    if kind == "loglinear":
        mean = np.concatenate([[-2.0, np.log(2.0)], np.zeros(num_sources)])
        return Prior(mean, np.concatenate([[0.1, 0.3], np.full(num_sources, 0.3)]))
    head = [-2.0, np.log(2.5), np.log(0.3), np.log(0.5)]
    each = [np.full(num_sources, np.log(1.0 / num_sources)), np.full(num_sources, np.log(0.4))]
    return Prior(np.concatenate([head, *each]), np.concatenate([[0.1, 0.3, 0.5, 0.5], np.ones(2 * num_sources)]))


def _model(kind: Kind, weights: Array) -> least_squares.Model:
    """The law over these mixtures [n, S] as a function of its parameters, with derivatives."""
    return _loglinear(weights) if kind == "loglinear" else _effective(np.log(weights + FLOOR))


def _loglinear(weights: Array) -> least_squares.Model:
    def at(theta: Array) -> tuple[Array, Array]:
        fall = np.exp(theta[1] + weights @ theta[2:])
        slopes = np.empty((len(weights), len(theta)))
        slopes[:, 0], slopes[:, 1], slopes[:, 2:] = 1.0, fall, fall[:, None] * weights
        return theta[0] + fall, slopes

    return at


def _effective(logs: Array) -> least_squares.Model:
    size = logs.shape[1]

    def at(theta: Array) -> tuple[Array, Array]:
        amplitude, base, alpha, worth, power = _effective_parts(theta)
        given = worth * np.exp(logs * power)
        data = base + given.sum(axis=1)
        fall = amplitude * data**-alpha
        push = -alpha * fall / data
        slopes = np.empty((len(logs), len(theta)))
        slopes[:, 0], slopes[:, 1] = 1.0, fall
        slopes[:, 2], slopes[:, 3] = push * base, -alpha * np.log(data) * fall
        slopes[:, HEAD : HEAD + size] = push[:, None] * given
        slopes[:, HEAD + size :] = push[:, None] * given * logs * power
        return theta[0] + fall, slopes

    return at


def _effective_parts(theta: Array) -> tuple[float, float, float, Array, Array]:
    """A, b, alpha, a [S], g [S]."""
    size = (len(theta) - HEAD) // 2
    return (
        float(np.exp(theta[1])), float(np.exp(theta[2])), float(np.exp(theta[3])),
        np.exp(theta[HEAD : HEAD + size]), np.exp(theta[HEAD + size :]),
    )  # fmt: skip
