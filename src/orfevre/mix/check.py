"""The check: the chosen mixture trained beside its rivals (natural, uniform, made by hand), on equal budgets and seeds.

Shapes: A arms, the chosen one among them, each run with the same seeds in the same order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from orfevre.mix.gp import Array
from orfevre.mix.proxies import Run

CHOSEN = "chosen"


@dataclass(frozen=True)
class Gain:
    """Rival minus chosen, bits per byte of target loss: positive when the chosen mixture wins."""

    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    wins: bool
    text: str
    against: Mapping[str, Gain]
    """By rival."""


def runs(mixtures: Mapping[str, Mapping[str, float]], seeds: Sequence[int]) -> list[Run]:
    """One for each arm and seed; `mixtures` by arm."""
    return [Run(f"{arm}-{seed}", arm, mixture, seed) for arm, mixture in mixtures.items() for seed in seeds]


def judge(measured: Mapping[str, Array], confidence: float) -> Verdict:
    """`measured`: target losses [seeds] of each arm, the same seeds in the same order.

    The chosen mixture wins when every rival's interval lies above zero.
    """
    against = {arm: gain(measured, arm, confidence) for arm in measured if arm != CHOSEN}
    wins = all(one.low > 0 for one in against.values())
    return Verdict(wins, _text(against, confidence), against)


def gain(measured: Mapping[str, Array], rival: str, confidence: float) -> Gain:
    """Gain over `rival` paired by seed, with a t-interval."""
    error, freedom = noise(measured)
    middle = float(np.mean(measured[rival] - measured[CHOSEN]))
    num_seeds = len(measured[rival])
    reach = float(student.ppf(0.5 + confidence / 2, freedom)) * error * (2 / num_seeds) ** 0.5
    return Gain(middle, middle - reach, middle + reach)


def noise(measured: Mapping[str, Array]) -> tuple[float, int]:
    """Standard deviation of one run, what its seed does to all arms alike taken out; and its degrees of freedom.

    It is what arms x seeds leave after each arm's and each seed's own mean (the residual of a two-way analysis of
    variance without repeats): with two seeds, three arms give two degrees of freedom where one pair gives one.
    """
    losses = np.stack(list(measured.values()))
    rest = losses - losses.mean(axis=1, keepdims=True) - losses.mean(axis=0) + losses.mean()
    freedom = (losses.shape[0] - 1) * (losses.shape[1] - 1)
    return float(np.sqrt(np.sum(rest**2) / freedom)), freedom


def mean_interval(measured: Mapping[str, Array], arm: str, confidence: float) -> tuple[float, float]:
    """t-interval of one arm's mean over seeds; the noise is pooled over the arms."""
    losses = np.stack(list(measured.values()))
    num_arms, num_seeds = losses.shape
    freedom = num_arms * (num_seeds - 1)
    rest = losses - losses.mean(axis=1, keepdims=True)
    error = float(np.sqrt(np.sum(rest**2) / freedom / num_seeds))
    middle, reach = float(np.mean(measured[arm])), float(student.ppf(0.5 + confidence / 2, freedom)) * error
    return middle - reach, middle + reach


def _text(against: Mapping[str, Gain], confidence: float) -> str:
    words = "; ".join(f"{_outcome(one)} the {name} mixture by {_figures(one)}" for name, one in against.items())
    if all(one.low > 0 for one in against.values()):
        opening = "The chosen mixture wins"
    elif all(one.high < 0 for one in against.values()):
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
