"""Confidence intervals of bits per byte, by resampling documents: text inside one document is not independent."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

CHUNK = 2**22
"""Draws held in memory at once."""


def bits_per_byte(nats: npt.ArrayLike, num_bytes: npt.ArrayLike) -> float:
    """Bits of all documents over their bytes: sum(nats) / ln 2 / sum(num_bytes)."""
    return float(np.sum(nats)) / math.log(2) / float(np.sum(num_bytes))


def resampled(nats: npt.ArrayLike, num_bytes: npt.ArrayLike, samples: int, generator: np.random.Generator) -> Floats:
    """Bits per byte of `samples` resamples of the documents, float64 [samples].

    The ratio estimator's bootstrap (Efron and Tibshirani 1993, section 10.3): nats and bytes of a document are drawn
    together. Both arguments are [num_documents], at least one document, each of one byte or more.
    """
    pairs_D2 = np.stack([np.asarray(nats, dtype=np.float64), np.asarray(num_bytes, dtype=np.float64)], axis=1)
    num = len(pairs_D2)
    sums, rows = [], max(1, CHUNK // num)
    for first in range(0, samples, rows):
        counts_SD = generator.multinomial(num, np.full(num, 1 / num), size=min(rows, samples - first))
        sums.append(counts_SD @ pairs_D2)
    sums_S2 = np.concatenate(sums)
    return np.asarray(sums_S2[:, 0] / math.log(2) / sums_S2[:, 1])


def interval(draws: npt.ArrayLike, confidence: float, freedom: float) -> tuple[float, float]:
    """The expanded percentile interval (Hesterberg 2015, arXiv 1411.5279): percentiles moved out as far as Student's t.

    `freedom` is the degrees of freedom, one less than the documents. Percentiles alone are too narrow for few
    documents. Coverage measured at 95 % with lengths as uneven as text's (percentiles alone in brackets): 5 documents
    0.90 (0.81), 10 0.93 (0.88), 20 0.92 (0.90), 100 0.93 (0.93). One document has no spread to tell: both ends are its
    value.
    """
    tail = (1 - confidence) / 2
    if freedom > 0:
        tail = float(stats.norm.cdf(np.sqrt((freedom + 1) / freedom) * stats.t.ppf(tail, freedom)))
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [tail, 1 - tail])
    return float(low), float(high)


def combined_freedom(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent estimates (Welch 1947, Satterthwaite 1946).

    (sum v)^2 / sum(v^2 / f), over the estimates that vary and have a degree of freedom; 0 if none does. (One document
    cannot vary, but its resampled sums may differ in the last bit.)
    """
    pairs = zip(variances, freedoms, strict=True)
    varying = [(variance, free) for variance, free in pairs if variance > 0 and free > 0]
    spread = sum(variance**2 / free for variance, free in varying)
    return sum(variance for variance, _ in varying) ** 2 / spread if spread > 0 else 0.0
