"""The twin of automaton.c: a walk in Python, sums in NumPy in the same order, so the same floats."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Tables(Protocol):
    """See `automaton.Automaton`."""

    @property
    def next(self) -> NDArray[np.uint32]: ...
    @property
    def row(self) -> NDArray[np.uint32]: ...
    @property
    def feature(self) -> NDArray[np.int32]: ...
    @property
    def weight(self) -> NDArray[np.float16]: ...


def scores(
    model: Tables, texts: Sequence[bytes], logarithms: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """See `automaton.Automaton.scores`."""
    found = np.zeros((len(texts), model.weight.shape[1]), np.float32)
    hits, distinct = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    for number, text in enumerate(texts):
        counts = _counts(model, text)
        hits[number], distinct[number] = counts.total(), len(counts)
        for feature, times in counts.items():  # in the order of first occurrence
            found[number] += logarithms[min(times, len(logarithms) - 1)] * model.weight[feature].astype(np.float32)
    return found, hits, distinct


def _counts(model: Tables, text: bytes) -> Counter[int]:
    after, row, feature = model.next, model.row, model.feature
    counts: Counter[int] = Counter()
    state = 0
    for byte in text:
        state = int(after[row[state], byte])
        if (ends := int(feature[state])) >= 0:
            counts[ends] += 1
    return counts
