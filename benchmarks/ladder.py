"""What a few larger runs add to many small ones: an emulator of a larger scale, made of a table of real small runs.

    python benchmarks/ladder.py TABLE.csv [--worlds 24]

TABLE has a row a run: columns `weight.<source>` and `loss.<target>`. A world of a larger scale: each loss as the stack
of all runs tells it, its law's parameters shaken (mixtures change places), bent by a slope of its own and a curve; what
the stack misses of a real run is carried along by it, and by a new mixture that lies nearest to it. The small scale is
a stack of 64 runs of the table, asked are the others. Printed, means and standard errors over worlds: Spearman of
weighted sums of losses over all asked and over the quarter told best, regret of the choice among them in deviations, by
the number of larger runs and by how they were chosen; how many runs 90 % intervals hold; and how often rivals were in
truth better, by what rank risk had said.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.mixture import even, read
from orfevre.mix import ladder, law, rank_risk, stack, surrogate
from orfevre.mix.design import farthest_first
from orfevre.mix.gp import Array
from orfevre.mix.limits import Limits
from orfevre.mix.optimum import spread_out
from orfevre.mix.predictor import Predictor

SMALL, FITS = 64, 4
"""Small runs, and different draws of them."""
COUNTS = (2, 4, 6, 8)
OBJECTIVES = 12
SPREADS, SHAKES = (0.2, 0.45), (0.15, 0.3)
"""Spread of log slopes around a common one, which itself is drawn; of the shaken log parameters."""
CURVE, CARRIED = 0.1, 0.7
"""Deviation of the curve; share of a real run's own miss that a larger one has."""
RISKS = (0.0, 0.02, 0.1, 0.3, 0.5, 1.0)

Told = dict[tuple[str, int], list[tuple[float, ...]]]


@dataclass(frozen=True)
class World:
    """A larger scale of J losses."""

    blends: tuple[stack.Blend, ...]
    slopes: Array
    curves: Array
    table: tuple[Array, Array]
    """Real runs: mixtures [n, S], and what the stack misses of each, [n, J]."""
    middle: Array
    spread: Array

    def truth(self, weights: Array) -> Array:
        """Expected losses of mixtures [m, S] -> [m, J]."""
        step = (_told(self.blends, weights) - self.middle) / self.spread
        return np.asarray(2.5 + self.slopes * self.spread * (step + self.curves * (step**2 - 1) / 2))

    def run(self, weights: Array) -> Array:
        """Losses of runs [m, S] -> [m, J]."""
        roots, known = np.sqrt(weights), np.sqrt(self.table[0])
        nearest = np.argmax(roots @ known.T, axis=1)
        return np.asarray(self.truth(weights) + CARRIED * self.slopes * self.table[1][nearest])


def world(full: surrogate.Surrogate, table: tuple[Array, Array], rng: np.random.Generator, case: int) -> World:
    """A larger scale drawn by `rng`; `case` goes through SPREADS and SHAKES in turn."""
    spread, shake = SPREADS[case % 2], SHAKES[case // 2 % 2]
    blends = tuple(_shaken(one.whole, shake, rng) for one in full.stacks)
    told = _told(blends, table[0])
    slopes = np.exp(rng.normal(-0.2, 0.25) + spread * rng.standard_normal(len(blends)))
    curves = CURVE * rng.standard_normal(len(blends))
    return World(blends, np.clip(slopes, 0.3, 2.0), curves, table, told.mean(axis=0), told.std(axis=0))


def _shaken(blend: stack.Blend, shake: float, rng: np.random.Generator) -> stack.Blend:
    effective = blend.members[0]
    theta = effective.theta.copy()
    theta[law.HEAD :] += shake * rng.standard_normal(len(theta) - law.HEAD)
    return replace(blend, members=(replace(effective, theta=theta), *blend.members[1:]))


def _told(blends: Sequence[stack.Blend], weights: Array) -> Array:
    return np.stack([one.mean(weights) for one in blends], axis=1)


def chosen_by(weights: Array, small: surrogate.Surrogate) -> dict[str, Callable[[int, int], Array]]:
    """Ways to choose the mixtures that are run: (count, seed) -> [count, S]."""
    size = weights.shape[1]
    limits = Limits(tuple(map(str, range(size))), np.zeros(size), np.ones(size))
    natural = weights.mean(axis=0)

    def own(count: int, seed: int) -> Array:
        pool = spread_out(natural, limits, 2048, np.random.default_rng(seed))
        wanted = {"chosen": pool[np.argmin(small.mean(pool))], "natural": natural, "uniform": np.full(size, 1 / size)}
        return ladder.calibration(small, limits, wanted, count, seed)

    def extreme(count: int, seed: int) -> Array:
        pool = spread_out(natural, limits, 512, np.random.default_rng(seed))
        return pool[farthest_first(pool, count)]

    def drawn(count: int, seed: int) -> Array:
        return spread_out(natural, limits, 2 * count, np.random.default_rng(seed))[:count]

    return {"own": own, "extreme": extreme, "drawn": drawn}


def ranked(told: Array, real: Array, objectives: Array) -> tuple[float, float, float]:
    """Of weighted sums: mean Spearman of all, of the quarter told best, regret of the choice in deviations."""
    found = []
    for target in objectives:
        one, other = told @ target, real @ target
        best = np.argsort(one)[: len(one) // 4]
        regret = (other[best[0]] - np.min(other)) / np.std(other)
        found.append((surrogate.spearman(one, other) or 0.0, surrogate.spearman(one[best], other[best]) or 0.0, regret))
    return tuple(np.mean(found, axis=0).tolist())


def held(told: Predictor, weights: Array, losses: Array, objectives: Array) -> tuple[float, float]:
    """Share of losses and of weighted sums of runs in their 90 % intervals."""
    low, high = told.loss_intervals(weights, 0.9)
    sums = []
    for target in objectives[:4]:
        ends = told.aimed(target).interval(weights, 0.9, of_a_run=True)
        sums.append(np.mean((ends[0] <= losses @ target) & (losses @ target <= ends[1])))
    return float(np.mean((low <= losses) & (losses <= high))), float(np.mean(sums))


def risks(told: Predictor, real: World, weights: Array, objectives: Array) -> Iterator[tuple[float, bool]]:
    """What rank risk says of rivals among the 20 told best, and whether they are better in truth."""
    for target in objectives[:4]:
        aimed = told.aimed(target)
        order = np.argsort(aimed.mean(weights))[[0, 1, 3, 7, 19]]
        rivals = {str(row): weights[row] for row in order[1:]}
        truth = real.truth(weights[order]) @ target
        said = rank_risk.rivals(aimed, weights[order[0]], rivals)
        yield from ((risk, bool(better)) for risk, better in zip(said.values(), truth[1:] < truth[0], strict=True))


def measure(weights: Array, losses: Array, worlds: int) -> tuple[Told, Told, list[tuple[float, bool]]]:
    """Ranks and coverage by (how chosen, runs), and what rank risk said beside what was so."""
    full = surrogate.fit(weights, losses, even(losses))
    missed = losses - full.losses(weights)
    seen = [
        order[farthest_first(weights[order], SMALL)]
        for order in (np.random.default_rng(seed).permutation(len(weights)) for seed in range(FITS))
    ]
    fits = [surrogate.fit(weights[rows], losses[rows], even(losses)) for rows in seen]
    ranks, coverage, said = defaultdict(list), defaultdict(list), []
    for case in range(worlds):
        rng, small = np.random.default_rng([case, 9]), fits[case % FITS]
        real = world(full, (weights, missed), rng, case // FITS)
        asked = np.setdiff1d(np.arange(len(weights)), seen[case % FITS])
        unseen = weights[asked]
        measured = real.run(unseen)
        objectives = rng.dirichlet(np.full(losses.shape[1], 0.5), OBJECTIVES)
        ranks["not bent", 0].append(ranked(small.losses(unseen), measured, objectives))
        ranks["true slopes", 0].append(ranked(small.losses(unseen) * real.slopes, measured, objectives))
        for name, choose in chosen_by(weights, small).items():
            for count in COUNTS:
                mixtures = choose(count, case)
                rung = ladder.climb(small, mixtures, real.run(mixtures))
                ranks[name, count].append(ranked(rung.losses(unseen), measured, objectives))
                coverage[name, count].append(held(rung, unseen, measured, objectives))
                if name == "own" and count >= 4:
                    said += list(risks(rung, real, unseen, objectives))
    return ranks, coverage, said


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--worlds", type=int, default=24)
    asked = parser.parse_args(arguments)
    ranks, coverage, said = measure(*read(asked.table), asked.worlds)
    print(f"{'larger runs':16}{'spearman of sums':>20}{'of the best quarter':>22}{'regret':>18}{'intervals hold':>24}")
    for (name, count), rows in ranks.items():
        means, errors = np.mean(rows, axis=0), np.std(rows, axis=0) / len(rows) ** 0.5
        cells = [f"{mean:.4f} ({error:.4f})" for mean, error in zip(means, errors, strict=True)]
        inside = np.mean(coverage[name, count], axis=0) if coverage[name, count] else None
        words = "" if inside is None else f"{inside[0]:.1%}, sums {inside[1]:.1%}"
        print(f"{f'{name} {count}' if count else name:16}{cells[0]:>20}{cells[1]:>22}{cells[2]:>18}{words:>24}")
    table = np.array(said, dtype=float)
    for low, high in itertools.pairwise(RISKS):
        part = table[(low <= table[:, 0]) & ((table[:, 0] < high) | (high == 1.0))]
        if len(part):
            share, middle = np.mean(part[:, 1]), np.mean(part[:, 0])
            print(f"rank risk {low:.2f} to {high:.2f}, on average {middle:.3f}: {share:.3f} were better ({len(part)})")


if __name__ == "__main__":
    main()
