"""How well a surrogate tells unseen mixtures from measured runs: orfevre's stack, its parts, a line, LightGBM.

    python benchmarks/mixture.py TABLE.csv

TABLE has a row a run: columns `weight.<source>` and `loss.<source>`. Prints, for each method, mean Spearman over the
losses and mean squared error: of 5-fold predictions of every run (three draws of the folds), and of all other runs from
64 of our own design. Then how many runs its 90 % intervals hold, how long a fit takes, and the regret of the choice:
among the table's mixtures, and among all of them on an emulator, with batches and without (emulator.py).
"""

import argparse
import csv
import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import emulator
from orfevre.mix import stack, surrogate
from orfevre.mix.design import farthest_first
from orfevre.mix.gp import Array

Method = Callable[[Array, Array, Array], Array]
"""(seen weights [n, S], seen losses [n, J], unseen weights [m, S]) -> told losses [m, J]."""

FOLD_SEEDS = (0, 1, 2)
COVERED = (32, 64, 128)
"""Runs that intervals are made from; each in DRAWS draws, the rest of the table is asked."""
DRAWS = 4
REGRET = (32, 64)
OBJECTIVES = 20
"""Random targets (weights over the losses) whose best mixture is sought."""


def read(path: Path) -> tuple[Array, Array]:
    """Weights [n, S] and losses [n, J]."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    table = np.array(rows[1:], dtype=float)
    weights, losses = (
        table[:, [n for n, name in enumerate(rows[0]) if name.startswith(part)]] for part in ("weight.", "loss.")
    )
    return weights / weights.sum(axis=1, keepdims=True), losses


def even(losses: Array) -> Array:
    return np.full(losses.shape[1], 1 / losses.shape[1])


def by_stack(seen: Array, losses: Array, unseen: Array) -> Array:
    return surrogate.fit(seen, losses, even(losses)).losses(unseen)


def by_member(place: int) -> Method:
    """One member of the stack alone."""

    def told(seen: Array, losses: Array, unseen: Array) -> Array:
        folds = stack.folds_of(surrogate.same_mixture(seen), len(seen))
        ridge = stack.choose_ridge(seen, losses, folds)
        return np.stack([stack.all_members(seen, y, ridge)[place].mean(unseen) for y in losses.T], axis=1)

    return told


def by_line(seen: Array, losses: Array, unseen: Array) -> Array:
    ones, more_ones = np.ones((len(seen), 1)), np.ones((len(unseen), 1))
    slopes = np.linalg.lstsq(np.hstack([seen, ones]), losses, rcond=None)[0]
    return np.asarray(np.hstack([unseen, more_ones]) @ slopes)


def by_lightgbm(seen: Array, losses: Array, unseen: Array) -> Array:
    """Its defaults but for small leaves, which a few dozen runs need."""
    import lightgbm

    settings = {"n_estimators": 300, "learning_rate": 0.05, "min_child_samples": 5, "verbosity": -1, "n_jobs": 1}
    return np.stack([lightgbm.LGBMRegressor(**settings).fit(seen, y).predict(unseen) for y in losses.T], axis=1)


def score(told: Array, losses: Array) -> tuple[float, float]:
    """Mean over losses of Spearman, and mean squared error in the losses' own unit."""
    ranks = [surrogate.spearman(a, b) or 0.0 for a, b in zip(told.T, losses.T, strict=True)]
    return float(np.mean(ranks)), float(np.mean((told - losses) ** 2))


def five_folds(method: Method, weights: Array, losses: Array, seed: int) -> tuple[float, float]:
    """Every run told by the four folds it is not in."""
    told = np.empty_like(losses)
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(weights)), 5):
        rest = np.setdiff1d(np.arange(len(weights)), fold)
        told[fold] = method(weights[rest], losses[rest], weights[fold])
    return score(told, losses)


def coverage(weights: Array, losses: Array, count: int) -> tuple[float, float]:
    """Share of unseen losses, and of unseen even-weighted sums, in their 90 % intervals."""
    held = []
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(weights))
        seen, unseen = order[:count], order[count:]
        model = surrogate.fit(weights[seen], losses[seen], even(losses))
        low, high = model.loss_intervals(weights[unseen], 0.9)
        each = np.mean((low <= losses[unseen]) & (losses[unseen] <= high))
        low, high = model.interval(weights[unseen], 0.9, of_a_run=True)
        total = losses[unseen] @ even(losses)
        held.append((each, np.mean((low <= total) & (total <= high))))
    return tuple(np.mean(held, axis=0).tolist())


def regret(method: Method, weights: Array, losses: Array, count: int) -> tuple[float, float]:
    """How far the mixture chosen among all of the table's is from its best, in deviations of the objective over it.

    Mean and largest over random objectives. The truth is the stack of all runs, so that noise is not rewarded.
    """
    order = np.random.default_rng(1).permutation(len(weights))
    seen = order[farthest_first(weights[order], count)]
    truth, told = by_stack(weights, losses, weights), method(weights[seen], losses[seen], weights)
    lost = []
    for target in np.random.default_rng(2).dirichlet(np.full(losses.shape[1], 0.5), OBJECTIVES):
        real = truth @ target
        lost.append((real[np.argmin(told @ target)] - np.min(real)) / np.std(real))
    return float(np.mean(lost)), float(np.max(lost))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    weights, losses = read(parser.parse_args(arguments).table)
    methods: dict[str, Method] = {
        "orfevre": by_stack, "  its law": by_member(0), "  its process": by_member(2), "linear": by_line
    }  # fmt: skip
    if importlib.util.find_spec("lightgbm"):
        methods["lightgbm"] = by_lightgbm
    else:
        print("lightgbm is not installed (pip install -e '.[benchmark]'): no such row")
    compare(methods, weights, losses)
    for count in (count for count in COVERED if count < len(weights) / 2):
        each, total = coverage(weights, losses, count)
        print(
            f"90 % intervals from {count} runs hold {each:.1%} of unseen losses, {total:.1%} of their sums", flush=True
        )
    started = time.perf_counter()
    surrogate.fit(weights, losses, even(losses))
    print(f"a fit of {losses.shape[1]} losses to {len(weights)} runs took {time.perf_counter() - started:.1f} s")
    for count in (count for count in REGRET if count < len(weights)):
        for name, method in methods.items():
            mean, most = regret(method, weights, losses, count)
            print(f"regret from {count} runs by design, {name.strip()}: mean {mean:.3f} deviations, most {most:.3f}")
    for name, column in emulator.regrets(weights, losses).items():
        print(f"regret on the emulator from {name}: mean {np.mean(column):.3f} deviations, most {np.max(column):.3f}")


def compare(methods: dict[str, Method], weights: Array, losses: Array) -> None:
    """A line a method."""
    few = min(64, len(weights) // 2)
    order = np.random.default_rng(1).permutation(len(weights))
    seen = order[farthest_first(weights[order], few)]
    unseen = np.setdiff1d(np.arange(len(weights)), seen)
    print(f"{'':14}{f'5 folds of {len(weights)}, {len(FOLD_SEEDS)} draws':>36}{f'from {few} by design':>24}")
    print(f"{'method':14}{'spearman (least, most)':>24}{'error':>12}{'spearman':>12}{'error':>12}")
    for name, method in methods.items():
        ranks, errors = zip(*(five_folds(method, weights, losses, seed) for seed in FOLD_SEEDS), strict=True)
        rank, error = score(method(weights[seen], losses[seen], weights[unseen]), losses[unseen])
        folds = f"{np.mean(ranks):.4f} ({min(ranks):.4f}, {max(ranks):.4f})"
        print(f"{name:14}{folds:>24}{np.mean(errors):12.4f}{rank:12.4f}{error:12.4f}", flush=True)


if __name__ == "__main__":
    main()
