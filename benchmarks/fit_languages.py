"""Fits the numbers of orfevre/curate/language_table.json: `python -m benchmarks.fit_languages ../shared/data`.

One half of the sentences (language_data.py) is used, the other is left for benchmarks/curation_languages.py. No text
goes into the table: 16 numbers for all languages, and three for each that has sentences here.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks import language_data
from benchmarks.language_data import Text
from orfevre.curate import language_decision, language_signals
from orfevre.curate.language_decision import CALIBRATION, VOTE, Table
from orfevre.curate.language_signals import Signals

Floats = NDArray[np.float64]

DECAY = 1.0
"""L2 penalty on each language's own numbers."""


def fit(texts: Sequence[Text]) -> Table:
    """Both models, on texts of any half. A text counts for less the more sentences it is joined of."""
    found = language_signals.signals([language_signals.sample(text.text) for text in texts])
    numbers = {name: place for place, name in enumerate(language_signals.names())}
    gold = np.array([numbers.get(text.code, -1) for text in texts])
    weight = 1 / np.sqrt([text.joined for text in texts])
    fitted = _fit_scores(found, gold, weight)
    return _fit_certainty(found, gold, weight, fitted)


def _fit_scores(found: Signals, gold: NDArray[np.int64], weight: Floats) -> Table:
    """Multinomial logistic regression; only languages with sentences get an offset and a trust."""
    rows = np.flatnonzero(gold >= 0)
    known, num = np.unique(gold[rows]), len(language_signals.names())
    features, modelled = language_decision.vote_features(found), found.bayes.shape[1]
    voted, seconded = rows[found.first[rows] >= 0], rows[found.second[rows] >= 0]
    place = {row: position for position, row in enumerate(rows.tolist())}
    at = (np.array([place[row] for row in voted.tolist()]), np.array([place[row] for row in seconded.tolist()]))
    head = 3 + len(VOTE)

    def unpack(x: Floats) -> Table:
        offset, trust = np.zeros(num), np.zeros(num)
        offset[known], trust[known] = x[head : head + len(known)], x[head + len(known) :]
        return Table(x[0], x[3:head], x[1], x[2], offset, trust, np.zeros(len(CALIBRATION)), np.zeros(num))

    def loss(x: Floats) -> tuple[float, Floats]:
        votes = language_decision.scores(found, unpack(x))[rows].astype(np.float64)
        votes -= votes.max(axis=1, keepdims=True)
        slope = np.exp(votes)
        total = slope.sum(axis=1)
        slope /= total[:, None]
        order = np.arange(len(rows))
        value = -(weight[rows] * (votes[order, gold[rows]] - np.log(total))).sum()
        slope[order, gold[rows]] -= 1
        slope *= weight[rows][:, None]
        first = slope[at[0], found.first[voted]]
        second = slope[at[1], found.second[seconded]]
        own = slope.sum(axis=0)
        grad = np.concatenate([
            [(slope[:, :modelled] * found.bayes[rows]).sum(), second @ found.share[seconded, 1], own[modelled:].sum()],
            features[voted].T @ first,
            own[known] + DECAY * x[head : head + len(known)],
            np.bincount(found.first[voted], first, num)[known] + DECAY * x[head + len(known) :],
        ])  # fmt: skip
        return value + DECAY / 2 * (x[head:] ** 2).sum(), grad

    start = np.zeros(head + 2 * len(known))
    start[0] = 1.0
    found_best = _least(loss, start, 200)
    # languages without sentences only ever lose here; elsewhere they get the mean of the others
    found_best[head : head + len(known)] -= found_best[head : head + len(known)].mean()
    return unpack(found_best)


def _fit_certainty(found: Signals, gold: NDArray[np.int64], weight: Floats, fitted: Table) -> Table:
    """Logistic regression of whether the winner is right."""
    votes = language_decision.scores(found, fitted)
    best = np.argmax(votes, axis=1)
    right = (best == gold).astype(np.float64)
    features = language_decision.certainty_features(found, votes, best)
    known, num, head = np.unique(gold[gold >= 0]), len(language_signals.names()), len(CALIBRATION)

    def unpack(x: Floats) -> tuple[Floats, Floats]:
        own = np.zeros(num)
        own[known] = x[head:]
        return x[:head], own

    def loss(x: Floats) -> tuple[float, Floats]:
        shared, own = unpack(x)
        odds = features @ shared + own[best]
        rest = weight * (1 / (1 + np.exp(-odds)) - right)
        grad = np.concatenate([features.T @ rest, np.bincount(best, rest, num)[known] + DECAY * x[head:]])
        value = (weight * (np.logaddexp(0, odds) - right * odds)).sum() + DECAY / 2 * (x[head:] ** 2).sum()
        return float(value), grad

    shared, own = unpack(_least(loss, np.zeros(head + len(known)), 500))
    head_of = (fitted.bayes, fitted.vote, fitted.second, fitted.not_modelled, fitted.offset, fitted.trust)
    return Table(*head_of, shared, own)


def _least(loss: Callable[[Floats], tuple[float, Floats]], start: Floats, steps: int) -> Floats:
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x)


def as_json(table: Table) -> str:
    single = {"bayes": table.bayes, "second": table.second, "not_modelled": table.not_modelled}
    single |= dict(zip(VOTE, table.vote.tolist(), strict=True))
    single |= dict(zip(CALIBRATION, table.calibration.tolist(), strict=True))
    languages = {
        name: {key: round(float(getattr(table, key)[place]), 3) for key in ("offset", "trust", "reliability")}
        for place, name in enumerate(language_signals.names())
        if table.offset[place] or table.trust[place] or table.reliability[place]
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in languages.items())
    head = json.dumps({name: round(float(value), 4) for name, value in single.items()})
    return f'{{"single": {head},\n "languages": {{\n{lines}\n }}}}\n'


def main() -> int:
    texts = [text for text in language_data.read(Path(sys.argv[1]), language_data.JOINED) if text.half == 0]
    place = Path(language_decision.__file__).with_name("language_table.json")
    place.write_text(as_json(fit(texts)), encoding="utf-8")
    print(f"{place}: fitted on {len(texts):,} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
