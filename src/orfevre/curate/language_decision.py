"""One language with a calibrated confidence, out of what two identifiers say (language_signals.py).

Two logistic models, whose few numbers lie in language_table.json (benchmarks/fit_languages.py makes it):
- a softmax over the languages of their log-odds in the Bayes model, CLD2's vote weighed by its score and share, and an
  offset of each language;
- the probability that the winner is right, given how far ahead it is, whether the two agree, and which language it is.
  A text in a language that neither knows is in the fit as a text whose winner is wrong.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orfevre.curate import language_signals
from orfevre.curate.language_codes import UNDETERMINED
from orfevre.curate.language_signals import Signals

Floats = NDArray[np.float64]

_LETTER = re.compile(r"[^\W\d_]")
"""Asked only where CLD2 is silent: it looks at nothing but letters."""

MOST_BYTES = 1024
"""Length of a text beyond which more of it makes the fitted confidence no surer."""

VOTE = ("vote", "vote_score", "vote_share", "vote_length")
CALIBRATION = (
    "constant", "log_odds", "lead", "bayes_lead", "agree", "agree_score", "agree_share", "agree_second",
    "log_bytes", "hit_rate", "distinct_rate", "fit",
)  # fmt: skip
"""Names of the numbers in the table, in the order of `vote_features` and `certainty_features`."""


class Detected(NamedTuple):
    code: str
    """ISO 639 code, `und` when there is nothing to tell from."""

    confidence: float
    """Probability that it is the language, 0 to 1 (docs/concepts/curation.md says for what mix of languages)."""


@dataclass(frozen=True, eq=False)
class Table:
    """The fitted numbers; languages in the order of language_signals.names()."""

    bayes: float
    vote: Floats
    """By VOTE."""
    second: float
    not_modelled: float
    offset: Floats
    """`[L]`."""
    trust: Floats
    """`[L]`: what CLD2's vote for a language is worth beyond other votes."""
    calibration: Floats
    """By CALIBRATION."""
    reliability: Floats
    """`[L]`."""


def detect(texts: Sequence[str]) -> list[Detected]:
    """The main language of each normalised text."""
    if not texts:
        return []
    samples = [language_signals.sample(text) for text in texts]
    found = language_signals.signals(samples)
    best, sure = decide(found, table())
    known = language_signals.names()
    return [
        Detected(known[number], confidence) if vote >= 0 or _LETTER.search(text) else Detected(UNDETERMINED, 0.0)
        for number, confidence, vote, text in zip(
            best.tolist(), sure.tolist(), found.first.tolist(), samples, strict=True
        )
    ]


def decide(found: Signals, fitted: Table) -> tuple[NDArray[np.int64], Floats]:
    """The likeliest language of each text and the probability that it is right, `[n]` each."""
    votes = scores(found, fitted)
    best = np.argmax(votes, axis=1)
    features = certainty_features(found, votes, best)
    # summed row by row: a matrix product's last bits depend on how many texts come together
    odds = (features * fitted.calibration).sum(axis=1) + fitted.reliability[best]
    return best, 1 / (1 + np.exp(-odds))


def scores(found: Signals, fitted: Table) -> NDArray[np.float32]:
    """Unnormalised log-probabilities of the languages, float32 `[n, L]`."""
    offset, modelled = fitted.offset.astype(np.float32), found.bayes.shape[1]
    votes = np.empty((len(found.bayes), len(offset)), np.float32)
    np.multiply(found.bayes, np.float32(fitted.bayes), out=votes[:, :modelled])
    votes[:, :modelled] += offset[:modelled]
    votes[:, modelled:] = offset[modelled:] + np.float32(fitted.not_modelled)
    worth = (vote_features(found) * fitted.vote).sum(axis=1)
    rows = np.flatnonzero(found.first >= 0)
    votes[rows, found.first[rows]] += worth[rows] + fitted.trust[found.first[rows]]
    rows = np.flatnonzero(found.second >= 0)
    votes[rows, found.second[rows]] += fitted.second * found.share[rows, 1]
    return votes


def vote_features(found: Signals) -> Floats:
    """What CLD2's first vote is weighed by, `[n, len(VOTE)]`."""
    ones = np.ones(len(found.score))
    return np.stack([ones, np.log1p(found.score) / 7, found.share[:, 0], _log_bytes(found)], axis=1)


def certainty_features(found: Signals, votes: NDArray[np.float32], best: NDArray[np.int64]) -> Floats:
    """What the probability of being right is made of, `[n, len(CALIBRATION)]`."""
    rows = np.arange(len(best))
    ahead = votes - votes[rows, best][:, None]
    ahead[rows, best] = -np.inf
    odds = -np.log(np.maximum(np.exp(ahead).sum(axis=1), 1e-11))
    bayes = found.bayes.copy()
    bayes[rows, found.best] = -np.inf
    agree = (found.first == best).astype(np.float64)
    columns = [
        np.ones(len(best)),
        np.clip(odds, -5, 25) / 5,
        np.minimum(-ahead.max(axis=1), 20) / 5,
        np.minimum(-bayes.max(axis=1), 10) / 3,
        agree,
        agree * np.log1p(found.score) / 7,
        agree * found.share[:, 0],
        agree * found.share[:, 1],
        _log_bytes(found),
        found.hits / np.maximum(found.num_bytes, 1),
        found.distinct / np.maximum(found.hits, 1),
        found.per_feature / 5,
    ]
    return np.stack(columns, axis=1)


def _log_bytes(found: Signals) -> Floats:
    return np.log1p(np.minimum(found.num_bytes, MOST_BYTES)) / 5


@cache
def table() -> Table:
    """The numbers in language_table.json. A language it does not name has no offset of its own."""
    read = json.loads(Path(__file__).with_name("language_table.json").read_text(encoding="utf-8"))
    single, known = read["single"], language_signals.names()

    def by_language(key: str) -> Floats:
        return np.array([read["languages"].get(name, {}).get(key, 0.0) for name in known])

    return Table(
        single["bayes"],
        np.array([single[name] for name in VOTE]),
        single["second"],
        single["not_modelled"],
        by_language("offset"),
        by_language("trust"),
        np.array([single[name] for name in CALIBRATION]),
        by_language("reliability"),
    )
