"""How well a surrogate tells unseen mixtures from proxy runs: orfevre's, a linear regression, LightGBM (if installed).

    python benchmarks/mixture.py TABLE.csv

TABLE has a row a run: columns `weight.<source>` and `loss.<source>`. Prints, for each method, 5-fold mean Spearman and
squared error (as a share of the variance) over the losses; then the same from 64 runs of our own design.
"""

import argparse
import csv
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from orfevre.mix import surrogate
from orfevre.mix.design import farthest_first
from orfevre.mix.gp import Array

Method = Callable[[Array, Array, Array], Array]
"""(seen weights [n, S], seen losses [n, J], unseen weights [m, S]) -> told losses [m, J]."""


def read(path: Path) -> tuple[Array, Array]:
    """Weights [n, S] and losses [n, J]."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    table = np.array(rows[1:], dtype=float)
    weights, losses = (
        table[:, [n for n, name in enumerate(rows[0]) if name.startswith(part)]] for part in ("weight.", "loss.")
    )
    return weights, losses


def by_process(seen: Array, losses: Array, unseen: Array) -> Array:
    even = np.full(losses.shape[1], 1 / losses.shape[1])
    return surrogate.fit(seen, losses, even).losses(unseen)


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
    """Mean over losses of Spearman and of squared error over variance."""
    ranks = [surrogate.spearman(a, b) or 0.0 for a, b in zip(told.T, losses.T, strict=True)]
    return float(np.mean(ranks)), float(np.mean(np.mean((told - losses) ** 2, axis=0) / np.var(losses, axis=0)))


def five_folds(method: Method, weights: Array, losses: Array) -> tuple[float, float]:
    folds = np.array_split(np.random.default_rng(0).permutation(len(weights)), 5)
    scores = []
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(weights)), fold)
        scores.append(score(method(weights[rest], losses[rest], weights[fold]), losses[fold]))
    spearman, error = np.mean(scores, axis=0)
    return float(spearman), float(error)


def coverage(seen: Array, losses: Array, unseen: Array, measured: Array) -> float:
    """Share of unseen runs whose even-weighted loss falls in its 90 % interval."""
    even = np.full(losses.shape[1], 1 / losses.shape[1])
    low, high = surrogate.fit(seen, losses, even).interval(unseen, 0.9, of_a_run=True)
    return float(np.mean((low <= measured @ even) & (measured @ even <= high)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    weights, losses = read(parser.parse_args(arguments).table)
    methods: dict[str, Method] = {"orfevre gp": by_process, "linear": by_line}
    if importlib.util.find_spec("lightgbm"):
        methods["lightgbm"] = by_lightgbm
    order = np.random.default_rng(1).permutation(len(weights))
    seen = order[farthest_first(weights[order], 64)]
    unseen = np.setdiff1d(np.arange(len(weights)), seen)
    print(f"{'':12}{'5 folds of ' + str(len(weights)):>26}{'from 64 by design':>26}")
    print(f"{'method':12}{'spearman':>13}{'error':>13}{'spearman':>13}{'error':>13}")
    for name, method in methods.items():
        folds = five_folds(method, weights, losses)
        few = score(method(weights[seen], losses[seen], weights[unseen]), losses[unseen])
        print(f"{name:12}" + "".join(f"{figure:13.4f}" for figure in (*folds, *few)), flush=True)
    share = coverage(weights[seen], losses[seen], weights[unseen], losses[unseen])
    print(f"orfevre's 90 % intervals hold {share:.1%} of the runs it had not seen")


if __name__ == "__main__":
    main()
