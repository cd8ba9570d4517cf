"""One loss told by three methods at once: the effective-data law, the log-linear law and a Gaussian process.

Shapes: n runs, m mixtures, S sources, K members, F folds. How far each member is believed is learnt from what it told
of runs it had not seen (stacking, Breiman 1996). Those same out-of-fold errors carry the intervals (conformal.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import nnls

from orfevre.mix import gp, law, least_squares
from orfevre.mix.gp import Array
from orfevre.mix.noise import Noise

FLOOR = 0.003
"""The process sees log(weight + FLOOR): what the first 0.3 % of a source do is beyond what a proxy can tell."""

RIDGES = (0.05, 0.1, 0.2, 0.4)
"""Pulls towards the laws' priors that are tried; the one that tells unseen runs best is taken, for all losses alike."""

CHOOSING_RUNS = 96
"""Runs among which the ridge is chosen: where there are more, it hardly matters."""

SHRINK = 0.1
"""Pull of the members' shares towards equal ones, as a share of what the best of them leaves unexplained."""

MANY_RUNS = 128
"""From here on 5 folds instead of 10; a fold's laws begin where those of all runs ended, its process keeps their
hyper-parameters (with fewer runs that would let a fold know what it is asked: intervals at 32 runs held 80 %)."""


@dataclass(frozen=True)
class Smooth:
    """A Gaussian process over standardised log shares."""

    process: gp.Process
    shift: Array
    spread: Array
    louder: Noise | None = None
    """Where runs are noisier than elsewhere; None: nowhere."""

    def features(self, weights: Array) -> Array:
        return (np.log(weights + FLOOR) - self.shift) / self.spread

    def mean(self, weights: Array) -> Array:
        return self.process.mean(self.features(weights))

    def gradient(self, weights: Array) -> Array:
        slope = self.process.mean_gradient(self.features(weights))
        return np.asarray(slope / self.spread / (weights + FLOOR))

    def deviation(self, weights: Array) -> Array:
        """Standard deviation of one run at mixtures [m, S] -> [m], its noise included."""
        return np.sqrt(self.process.variance(self.features(weights)) + self.noise(weights) ** 2)

    def noise(self, weights: Array) -> Array:
        """Standard deviation of one run around what is expected at mixtures [m, S] -> [m]."""
        return self.process.noise * (self.louder.ratio(weights) if self.louder else np.ones(len(weights)))


Members: TypeAlias = tuple[law.Law, law.Law, Smooth]
"""The effective-data law, the log-linear law, the process."""


@dataclass(frozen=True)
class Blend:
    """Members and how far each is believed."""

    members: Members
    shares: Array
    """[K], at least 0, summing to 1."""

    @property
    def smooth(self) -> Smooth:
        return self.members[2]

    @property
    def _believed(self) -> list[tuple[float, law.Law | Smooth]]:
        return list(zip(self.shares.tolist(), self.members, strict=True))

    def mean(self, weights: Array) -> Array:
        """Mixtures [m, S] -> [m]."""
        told = (share * one.mean(weights) for share, one in self._believed if share)
        return np.asarray(sum(told, np.zeros(len(weights))))

    def gradient(self, weights: Array) -> Array:
        """At one mixture [S] -> [S]."""
        slopes = (share * one.gradient(weights) for share, one in self._believed if share)
        return np.asarray(sum(slopes, np.zeros(len(weights))))


@dataclass(frozen=True)
class Stack:
    """The blend fitted to all runs of one loss, and one fitted without each fold."""

    whole: Blend
    without: tuple[Blend, ...]
    """F blends, of the same shares."""
    told: Array
    """What each run was told to be by the blend that had not seen it, [n]."""
    doubt: Array
    """The deviation that blend had for it, [n]."""


def fit(weights: Array, losses: Array, folds: Sequence[Array], ridge: float, louder: Noise | None = None) -> Stack:
    """Fit one loss [n] of mixtures [n, S]; `folds` are F arrays of row numbers that partition the runs, `louder` says
    where runs are noisier than elsewhere."""
    everything = all_members(weights, losses, ridge, louder)
    known = everything if len(losses) >= MANY_RUNS else None
    seen = [np.setdiff1d(np.arange(len(losses)), fold) for fold in folds]
    without = [all_members(weights[rows], losses[rows], ridge, louder, known, gp.STARTS[:1]) for rows in seen]
    told, doubt = np.empty((len(losses), len(everything))), np.empty(len(losses))
    for fold, members in zip(folds, without, strict=True):
        told[fold] = np.stack([one.mean(weights[fold]) for one in members], axis=1)
        doubt[fold] = members[2].deviation(weights[fold])
    shares = believed(told, losses)
    return Stack(Blend(everything, shares), tuple(Blend(members, shares) for members in without), told @ shares, doubt)


def believed(told: Array, losses: Array) -> Array:
    """Shares [K] of the members whose out-of-fold words are `told` [n, K]: least squares on the simplex.

    Shrunk towards equal shares, and with runs that all members miss weighed down.
    """
    errors = told - losses[:, None]
    trust = np.sqrt(least_squares.trust(np.median(errors, axis=1)))
    errors = errors * trust[:, None]
    num = errors.shape[1]
    least = float(np.sqrt(np.min(np.sum(errors**2, axis=0)))) or 1e-12
    pull = least * SHRINK**0.5
    heavy = 1e3 * float(np.max(np.sqrt(np.sum(errors**2, axis=0))) + pull)
    system = np.vstack([errors, pull * np.eye(num), np.full((1, num), heavy)])
    wanted = np.concatenate([np.zeros(len(errors)), np.full(num, pull / num), [heavy]])
    shares, _ = nnls(system, wanted)
    return np.asarray(shares / np.sum(shares))


def choose_ridge(weights: Array, losses: Array, folds: Sequence[Array]) -> float:
    """The ridge with which the effective-data law tells unseen runs best, over all losses [n, J] together."""
    rows = np.random.default_rng([len(weights), 1]).permutation(len(weights))[:CHOOSING_RUNS]
    costs = np.zeros(len(RIDGES))
    for fold in (np.intersect1d(fold, rows) for fold in folds[:5]):
        seen = np.setdiff1d(rows, fold)
        for column in np.flatnonzero(np.std(losses, axis=0) > 0) if len(fold) else ():
            start = None
            for place, ridge in reversed(list(enumerate(RIDGES))):  # from the stiffest: each begins where that ended
                fitted = law.fit("effective", weights[seen], losses[seen, column], ridge, start)
                start, missed = fitted.theta, (fitted.mean(weights[fold]) - losses[fold, column]) / fitted.scale
                costs[place] += float(np.sum(np.minimum(np.abs(missed), 1.0) ** 2))  # one wild run must not choose
    return RIDGES[int(np.argmin(costs))]


def folds_of(groups: Sequence[Sequence[int]], num_runs: int) -> list[Array]:
    """Row numbers of F folds; repeats of one mixture (`groups`) fall together. Fewer groups than folds: one each."""
    wanted = min(5 if num_runs >= MANY_RUNS else 10, len(groups))
    order = np.random.default_rng(num_runs).permutation(len(groups))
    return [np.array(sorted(row for place in part for row in groups[place])) for part in np.array_split(order, wanted)]


def all_members(
    weights: Array,
    losses: Array,
    ridge: float,
    louder: Noise | None = None,
    begun: Members | None = None,
    starts: Sequence[tuple[float, float]] = gp.STARTS,
) -> Members:
    """Fitted members. `louder` is for the process alone: the laws err by their form more than by noise, and told unseen
    runs no better when noisy runs weighed less. `begun` are those of more runs, to begin at; the process keeps their
    hyper-parameters, and climbs to its own from `starts` where there are none."""
    ratio = louder.ratio(weights) if louder else None
    effective = law.fit("effective", weights, losses, ridge, begun[0].theta if begun else None)
    loglinear = law.fit("loglinear", weights, losses, ridge, begun[1].theta if begun else None)
    if begun:
        smooth, known = begun[2], begun[2].process
        process = gp.condition(smooth.features(weights), losses, known.theta, known.centre, known.scale, ratio)
        return effective, loglinear, Smooth(process, smooth.shift, smooth.spread, louder)
    logs = np.log(weights + FLOOR)
    shift, spread = np.mean(logs, axis=0), np.std(logs, axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)  # a source that no run varies
    process = gp.fit((logs - shift) / spread, losses, starts, ratio)
    return effective, loglinear, Smooth(process, shift, spread, louder)
