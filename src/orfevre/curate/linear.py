"""A linear classifier of texts: logistic regression on hashed words, pairs of words and marks.

A text is a sparse vector of log(1 + count), of length 1, over 2**BITS buckets (kernels/features.py). Scores are
probabilities on equal numbers of both classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import features
from orfevre.kernels.features import Grams, Rows

BITS = 20
GRAMS = Grams(BITS)

PENALTY = 1.0
"""L2 penalty on the weights, beside the summed loss of all texts."""

MOST_STEPS = 100

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    weight: NDArray[np.float32]
    """`[2**BITS]`."""

    constant: float

    def scores(self, texts: Sequence[bytes]) -> Floats:
        """Probability of the first class for each text, `[n]`."""
        return _logistic(_product(features.rows(texts, GRAMS), self.weight) + self.constant)


def train(first: Sequence[bytes], second: Sequence[bytes]) -> Linear:
    """Tell the texts of `first` from those of `second`. The same texts give the same weights."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_array

    rows = features.rows([*first, *second], GRAMS)
    used, column = np.unique(rows.bucket, return_inverse=True)
    table = csr_array((_values(rows), column, rows.start), shape=(len(rows), len(used)))
    gold = np.repeat([1.0, 0.0], [len(first), len(second)])
    # each class weighs the same, whatever its size
    weight = np.where(gold > 0, 0.5 / len(first), 0.5 / len(second)) * len(rows)
    turned = table.T.tocsr()

    def loss(x: Floats) -> tuple[float, Floats]:
        odds = table @ x[:-1] + x[-1]
        rest = weight * (_logistic(odds) - gold)
        value = (weight * (np.logaddexp(0, odds) - gold * odds)).sum() + PENALTY / 2 * (x[:-1] @ x[:-1])
        return float(value), np.concatenate([turned @ rest + PENALTY * x[:-1], [rest.sum()]])

    found = minimize(loss, np.zeros(len(used) + 1), jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS}).x
    weights = np.zeros(2**BITS, np.float32)
    weights[used] = found[:-1]
    return Linear(weights, float(found[-1]))


def save(model: Linear, path: Path) -> None:
    """Beside its place, then renamed: a file that stands is whole."""
    aside = path.with_name(f".{path.name}.aside")
    with aside.open("wb") as file:
        np.savez(file, weight=model.weight, constant=model.constant)
    aside.replace(path)


def load(path: Path) -> Linear:
    with np.load(path, allow_pickle=False) as arrays:
        return Linear(arrays["weight"], float(arrays["constant"]))


def auc(gold: NDArray[np.bool_], scores: Floats) -> float:
    """Area under the ROC curve: how often a text of the first class scores above one of the second; ties are half."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    _, first, count = np.unique(scores[order], return_index=True, return_counts=True)
    ranks[order] = np.repeat(first + (count + 1) / 2, count)
    ours, theirs = int(gold.sum()), int((~gold).sum())
    return float((ranks[gold].sum() - ours * (ours + 1) / 2) / (ours * theirs))


def _values(rows: Rows) -> Floats:
    """log(1 + count) over each row's length."""
    values = np.log1p(np.arange(int(rows.count.max(initial=0)) + 1, dtype=np.float64))[rows.count]
    norms = np.sqrt(_sums(rows.start, values * values))
    return np.asarray(values / np.repeat(np.maximum(norms, 1e-12), np.diff(rows.start)))


def _product(rows: Rows, weight: NDArray[np.float32]) -> Floats:
    """Each row times the weights, without making the normalised row first."""
    values = np.log1p(np.arange(int(rows.count.max(initial=0)) + 1, dtype=np.float64))[rows.count]
    norms = np.sqrt(_sums(rows.start, values * values))
    return np.asarray(_sums(rows.start, values * weight[rows.bucket]) / np.maximum(norms, 1e-12))


def _sums(start: NDArray[np.int64], values: Floats) -> Floats:
    """Sum of each row; 0 for an empty one."""
    totals = np.zeros(len(start) - 1)
    full = np.flatnonzero(np.diff(start))
    if len(full):
        totals[full] = np.add.reduceat(values, start[full])
    return totals


def _logistic(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)), np.float64)
