"""The check: the chosen mixture trained beside the natural and the uniform one, on equal budgets and equal seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from orfevre.mix.gp import Array
from orfevre.mix.proxies import Run

ARMS = ("chosen", "natural", "uniform")


@dataclass(frozen=True)
class Gain:
    """Baseline minus chosen, bits per byte of target loss: positive when the chosen mixture wins."""

    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    wins: bool
    text: str
    against_natural: Gain
    against_uniform: Gain


def runs(mixtures: Mapping[str, Mapping[str, float]], seeds: Sequence[int]) -> list[Run]:
    """One for each arm and seed; `mixtures` are keyed by ARMS."""
    return [Run(f"{arm}-{seed}", arm, mixtures[arm], seed) for arm in ARMS for seed in seeds]


def judge(measured: Mapping[str, Array], confidence: float) -> Verdict:
    """`measured`: target losses [seeds] of each arm, the same seeds in the same order.

    The chosen mixture wins when both intervals of the gain lie above zero.
    """
    natural = gain(measured, "natural", confidence)
    uniform = gain(measured, "uniform", confidence)
    return Verdict(min(natural.low, uniform.low) > 0, _text(natural, uniform, confidence), natural, uniform)


def gain(measured: Mapping[str, Array], baseline: str, confidence: float) -> Gain:
    """Gain over `baseline` paired by seed, with a t-interval."""
    error, freedom = noise(measured)
    middle = float(np.mean(measured[baseline] - measured["chosen"]))
    num_seeds = len(measured[baseline])
    reach = float(student.ppf(0.5 + confidence / 2, freedom)) * error * (2 / num_seeds) ** 0.5
    return Gain(middle, middle - reach, middle + reach)


def noise(measured: Mapping[str, Array]) -> tuple[float, int]:
    """Standard deviation of one run, what its seed does to all arms alike taken out; and its degrees of freedom.

    It is what arms x seeds leave after each arm's and each seed's own mean (the residual of a two-way analysis of
    variance without repeats): with two seeds, three arms give two degrees of freedom where one pair gives one.
    """
    losses = np.stack([measured[arm] for arm in ARMS])
    rest = losses - losses.mean(axis=1, keepdims=True) - losses.mean(axis=0) + losses.mean()
    freedom = (losses.shape[0] - 1) * (losses.shape[1] - 1)
    return float(np.sqrt(np.sum(rest**2) / freedom)), freedom


def mean_interval(measured: Mapping[str, Array], arm: str, confidence: float) -> tuple[float, float]:
    """t-interval of one arm's mean over seeds; the noise is pooled over the arms."""
    losses = np.stack([measured[name] for name in ARMS])
    num_arms, num_seeds = losses.shape
    freedom = num_arms * (num_seeds - 1)
    rest = losses - losses.mean(axis=1, keepdims=True)
    error = float(np.sqrt(np.sum(rest**2) / freedom / num_seeds))
    middle, reach = float(np.mean(measured[arm])), float(student.ppf(0.5 + confidence / 2, freedom)) * error
    return middle - reach, middle + reach


def _text(natural: Gain, uniform: Gain, confidence: float) -> str:
    parts = {"natural": natural, "uniform": uniform}
    words = "; ".join(f"{_outcome(one)} the {name} mixture by {_figures(one)}" for name, one in parts.items())
    if min(natural.low, uniform.low) > 0:
        opening = "The chosen mixture wins"
    elif min(natural.high, uniform.high) < 0:
        opening = "The chosen mixture does not win: it loses"
    else:
        opening = "The chosen mixture does not win beyond doubt"
    return f"{opening}. In the check run it {words} bits per byte of target loss ({confidence:.0%} intervals)."


def _outcome(one: Gain) -> str:
    if one.low > 0:
        return "beats"
    return "loses to" if one.high < 0 else "cannot be told from"


def _figures(one: Gain) -> str:
    return f"{one.gain:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
