"""From many small runs to a larger scale: the surrogate of the small ones, bent by a few runs of the larger.

A target's loss at the larger scale is an affine function of what the small runs say of the mixture, `offset + slope
(told - centre)`. The slope is drawn to 1 (a few runs cannot tell it), the offset is free. Shapes: n runs, m mixtures, J
targets.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from orfevre.mix.gp import Array
from orfevre.mix.surrogate import Surrogate

SLOPE_SPREAD = 0.25
"""How far slopes lie from 1 before anything is measured: amplitudes of losses change by tens of per cent between
scales, and each target's by another amount."""


@dataclass(frozen=True)
class Rung:
    """The larger scale, as told by the smaller one."""

    small: Surrogate
    centre: Array
    """What the small runs say of the larger ones' mixtures, on average, [J]."""
    offset: Array
    """[J]."""
    slope: Array
    """[J]."""
    slope_spread: Array
    """Posterior deviation of the slope, [J]."""
    noise: Array
    """Deviation of a larger run around the line, [J]."""
    count: int
    """Larger runs."""

    def losses(self, weights: Array) -> Array:
        """[m, S] -> [m, J]."""
        return np.asarray(self.offset + self.slope * (self.small.losses(weights) - self.centre))

    def loss_intervals(self, weights: Array, confidence: float) -> tuple[Array, Array]:
        """Ends of every loss of one run, [m, J] each: the small runs' CV+ interval through the line, and the line's own
        doubt, added as squares."""
        told, mean = self.small.losses(weights), self.losses(weights)
        low, high = self.small.loss_intervals(weights, confidence)
        reach = float(student.ppf(0.5 + confidence / 2, max(self.count - 1, 1)))
        line = self.noise**2 / self.count + (self.slope_spread * (told - self.centre)) ** 2
        doubt = reach * np.sqrt(line + self.noise**2)
        below = np.sqrt((self.slope * (told - low)) ** 2 + doubt**2)
        above = np.sqrt((self.slope * (high - told)) ** 2 + doubt**2)
        return mean - below, mean + above


def climb(small: Surrogate, weights: Array, losses: Array) -> Rung:
    """Calibrate on runs of the larger scale: mixtures [n, S] and their losses [n, J]; two runs or more."""
    told = small.losses(weights)
    centre, offset = told.mean(axis=0), losses.mean(axis=0)
    x, y = told - centre, losses - offset
    noise = np.maximum(np.std(y - x, axis=0, ddof=1), 1e-9)
    for _ in range(10):  # slope and noise each given the other, until they agree
        precision = np.sum(x**2, axis=0) / noise**2 + SLOPE_SPREAD**-2.0
        slope = (np.sum(x * y, axis=0) / noise**2 + SLOPE_SPREAD**-2.0) / precision
        noise = np.maximum(np.sqrt(np.sum((y - slope * x) ** 2, axis=0) / max(len(x) - 1, 1)), 1e-9)
    return Rung(small, centre, offset, slope, precision**-0.5, noise, len(x))
