"""The price of the wrong mixture: how much more compute the natural one needs for the same loss.

The natural mixture is trained on several budgets; loss against compute is fitted by a power law L = c + a C^-b, and
read backwards at the loss the chosen mixture reached. With fewer than MIN_FOR_FLOOR budgets c is 0: a floor cannot be
told from so few, and c = 0 makes the price lower, never higher (a floor bends the curve up).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orfevre.mix.gp import Array
from orfevre.mix.proxies import Run

MIN_FOR_FLOOR = 4
DRAWS = 2000
"""Parametric bootstrap samples behind the interval."""

MOST = 1000.0
"""A ratio above this is no figure, but the power law's imagination: it is reported as "never"."""


@dataclass(frozen=True)
class Law:
    """loss = floor + scale * budget^-exponent."""

    floor: float
    scale: float
    exponent: float

    def budget_for(self, loss: float) -> float | None:
        """The budget that reaches `loss`; None when none up to MOST does."""
        if loss <= self.floor or self.exponent <= 0 or self.scale <= 0:
            return None
        logarithm = np.log(self.scale / (loss - self.floor)) / self.exponent
        return float(np.exp(logarithm)) if logarithm <= np.log(MOST) else None


@dataclass(frozen=True)
class Price:
    exponent: float | None
    compute_ratio: float | None
    low: float | None
    high: float | None
    extrapolated: bool
    text: str


def runs(natural: Mapping[str, float], budgets: Sequence[float], seeds: Sequence[int]) -> list[Run]:
    """The natural mixture on each budget but 1, which the check runs."""
    asked = [budget for budget in dict.fromkeys(budgets) if budget != 1.0]
    return [Run(f"budget-{budget:g}-{seed}", "budget", natural, seed, budget) for budget in asked for seed in seeds]


def fit(budgets: Array, losses: Array) -> Law:
    """Least squares on log (loss - floor) over budgets [B] with mean losses [B]; the floor is sought on a grid."""
    shares = np.linspace(0.0, 0.98, 50) if len(budgets) >= MIN_FOR_FLOOR else np.zeros(1)
    floors = shares * float(np.min(losses))
    x = np.log(budgets)
    y = np.log(np.maximum(losses - floors[:, None], 1e-9))  # one line for each floor; a redrawn loss may fall below 0
    steps = x - x.mean()
    slopes = y @ steps / (steps @ steps)
    scales = np.exp(y.mean(axis=1) - slopes * x.mean())
    misses = floors[:, None] + scales[:, None] * budgets ** slopes[:, None] - losses
    best = int(np.argmin(np.sum(misses**2, axis=1)))
    return Law(float(floors[best]), float(scales[best]), float(-slopes[best]))


def price(
    natural: Mapping[float, Array], chosen: Array, noise: tuple[float, int], confidence: float, seed: int
) -> Price:
    """`natural`: losses [seeds] of the natural mixture by budget, 1 included; `chosen`: losses [seeds] on budget 1;
    `noise`: deviation of one run and its degrees of freedom (`check.noise`).

    The interval is a parametric bootstrap: the noise is redrawn within what its degrees of freedom allow, every mean
    with that noise, and the law refitted. An end that is never reached is None.
    """
    budgets = np.array(sorted(natural))
    means = np.array([np.mean(natural[budget]) for budget in budgets])
    reached, at_one = float(np.mean(chosen)), float(means[np.searchsorted(budgets, 1.0)])
    if len(budgets) < 2:
        return Price(None, None, None, None, False, "Not priced: mix.price_budgets names no budget other than 1.")
    law = fit(budgets, means)
    exponent = law.exponent
    if reached >= at_one:
        text = f"No price: the chosen mixture ({reached:.4f}) is not below the natural one ({at_one:.4f}) here."
        return Price(exponent, None, None, None, False, text)
    # as on the curve, so that where it misses the measured loss at budget 1 this does not count as gain
    ratio = _ratio(law, at_one, reached)
    drawn = _redrawn_ratios(budgets, natural, chosen, noise, np.random.default_rng([seed, 4]))
    tail = (1 - confidence) / 2
    low, high = (_quantile(drawn, share) for share in (tail, 1 - tail))
    largest = float(budgets[-1])
    extrapolated = ratio is None or ratio > largest
    return Price(exponent, ratio, low, high, extrapolated, _text(law, ratio, (low, high), largest, confidence))


def _ratio(law: Law, at_one: float, reached: float) -> float | None:
    """Budget for `reached` over the budget for `at_one`."""
    start, end = law.budget_for(at_one), law.budget_for(reached)
    if start is None or end is None or end / start > MOST:
        return None
    return end / start


def _redrawn_ratios(
    budgets: Array, natural: Mapping[float, Array], chosen: Array, noise: tuple[float, int], rng: np.random.Generator
) -> list[float]:
    """DRAWS ratios, infinite where the chosen mixture's loss is never reached."""
    means = np.array([np.mean(natural[budget]) for budget in budgets])
    per_run = 1 / np.sqrt([len(natural[budget]) for budget in budgets])
    deviation, freedom = noise
    ratios = []
    for _ in range(DRAWS):
        one_run = deviation * (freedom / rng.chisquare(freedom)) ** 0.5
        redrawn = means + one_run * per_run * rng.standard_normal(len(means))
        reached = float(np.mean(chosen)) + one_run / len(chosen) ** 0.5 * float(rng.standard_normal())
        at_one = float(redrawn[np.searchsorted(budgets, 1.0)])
        ratio = _ratio(fit(budgets, redrawn), at_one, reached)
        ratios.append(np.inf if ratio is None else ratio)
    return ratios


def _quantile(drawn: Sequence[float], share: float) -> float | None:
    """Quantile with "never" as the largest of all values."""
    value = float(np.sort(drawn)[min(int(share * len(drawn)), len(drawn) - 1)])
    return value if np.isfinite(value) else None


def _text(
    law: Law, ratio: float | None, ends: tuple[float | None, float | None], largest: float, confidence: float
) -> str:
    if ratio is None:
        return (
            f"The natural mixture does not reach the chosen one's loss with {MOST:g} times the compute, by the power "
            f"law through its budgets (exponent {law.exponent:.4f}, floor {law.floor:.4f}, measured up to {largest:g})."
        )
    low, high = (f"{end:.2f}" if end is not None else f"more than {MOST:g}" for end in ends)
    text = f"The natural mixture needs {ratio:.2f} times the compute for the chosen one's loss"
    text += f" ({confidence:.0%} interval {low} to {high})"
    if ratio > largest:
        text += f"; this reads the power law beyond the largest measured budget, {largest:g}"
    return text + "."
