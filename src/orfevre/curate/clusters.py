"""Topics of texts: hashed TF-IDF vectors and spherical k-means (Dhillon and Modha 2001, section 3), seeded.

Same texts, same clusters: every product is one of a sparse matrix, which SciPy adds up in a fixed order on one thread,
and nothing that assigns a text uses a function that processors may round differently.

Shapes: N texts, V buckets of the vocabulary, K clusters.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import features
from orfevre.kernels.features import Grams

Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

GRAMS = Grams(bits=18, pairs=False, marks=False)
"""Words and numbers; 2**18 buckets, so that few of a sample's words share one."""

LEAST_TEXTS, MOST_SHARE = 2, 0.5
"""A bucket counts if this many texts of the sample have it, and no larger share of them: others part nothing."""

RESTARTS, RESTART_TEXTS = 8, 2_048
"""Starts, each run to its end on so many texts of the sample; the best goes on with all of it."""

ROUNDS = 40

NUM_WORDS = 8
"""Words that name a cluster."""

_WORD = re.compile(r"[^\W\d_]{3,}")  # shorter ones say little of a topic


@dataclass(frozen=True)
class Clusters:
    buckets: NDArray[np.uint32]
    """The vocabulary, ascending, [V]."""

    idf: Floats
    """[V]."""

    centres: Floats
    """Of length 1, the largest cluster of the sample first, [K, V]."""

    def nearest(self, texts: Sequence[bytes]) -> Labels:
        """The cluster of each text, by cosine; a text without a word of the vocabulary is in the largest one."""
        if not texts:
            return np.zeros(0, np.int64)
        found = features.rows(texts, GRAMS)
        return _nearest(_vectors(found, self.buckets, self.idf), self.centres)[0]


def fit(texts: Sequence[bytes], num_clusters: int, seed: int) -> tuple[Clusters, Labels]:
    """Clusters of a sample, and the cluster of each text. Raises ValueError if no word tells any apart."""
    found = features.rows(texts, GRAMS)
    buckets, texts_with = np.unique(found.bucket, return_counts=True)
    counts = (texts_with >= LEAST_TEXTS) & (texts_with <= max(MOST_SHARE * len(texts), LEAST_TEXTS))
    buckets, texts_with = buckets[counts], texts_with[counts]
    if not len(buckets):
        raise ValueError("no word is in two documents and not in most of them")
    idf = np.log(len(texts) / texts_with).astype(np.float32)
    rows = _of_length_one(_vectors(found, buckets, idf))
    centres = kmeans(rows, num_clusters, np.random.Generator(np.random.PCG64(seed)))
    labels = _nearest(rows, centres)[0]
    order = np.argsort(-np.bincount(labels, minlength=num_clusters), kind="stable")
    ranks = np.empty(num_clusters, np.int64)
    ranks[order] = np.arange(num_clusters)
    return Clusters(buckets, idf, centres[order]), ranks[labels]


def kmeans(rows: Any, num_clusters: int, rng: np.random.Generator) -> Floats:
    """Centres [K, V] of sparse rows [N, V] of length 1, the best of several starts by the sum of cosines."""
    few = rows[np.sort(rng.permutation(rows.shape[0])[:RESTART_TEXTS])]
    best, most = np.zeros((num_clusters, rows.shape[1]), np.float32), -1.0
    for _ in range(RESTARTS):
        centres, cosines = _lloyd(few, _spread_start(few, num_clusters, rng))
        if cosines > most:
            best, most = centres, cosines
    return best if few.shape == rows.shape else _lloyd(rows, best)[0]


def words(texts: Sequence[str], labels: Labels, num_clusters: int) -> list[list[str]]:
    """The words that tell each cluster from the rest: by the log-odds of a text having it over their standard error
    (as in Monroe, Colaresi and Quinn 2008, section 3.5, with 1/2 of a text added to each count)."""
    within: list[Counter[str]] = [Counter() for _ in range(num_clusters)]
    for text, label in zip(texts, labels.tolist(), strict=True):
        within[label].update(set(_WORD.findall(text.lower())))
    sizes = np.bincount(labels, minlength=num_clusters)
    overall = sum(within, Counter[str]())
    names = sorted(word for word, number in overall.items() if number >= LEAST_TEXTS)
    total = np.array([overall[word] for word in names], np.float64)
    named = []
    for cluster, size in enumerate(sizes.tolist()):
        inside = np.array([within[cluster][word] for word in names], np.float64)
        scores = _log_odds(inside, size, total - inside, len(texts) - size)
        best = np.argsort(-scores, kind="stable")[:NUM_WORDS]
        named.append([names[place] for place in best.tolist() if scores[place] > 0])
    return named


def _log_odds(inside: NDArray[np.float64], size: int, outside: NDArray[np.float64], rest: int) -> NDArray[np.float64]:
    cells = (inside + 0.5, size - inside + 0.5, outside + 0.5, rest - outside + 0.5)
    odds = np.log(cells[0] / cells[1]) - np.log(cells[2] / cells[3])
    return np.asarray(odds / np.sqrt(sum(1 / cell for cell in cells)))


def _vectors(found: features.Rows, buckets: NDArray[np.uint32], idf: Floats) -> Any:
    """Square roots of counts x idf over the vocabulary, sparse, [N, V]: roots so that a word said often is one word."""
    from scipy.sparse import csr_array

    places = np.minimum(np.searchsorted(buckets, found.bucket), len(buckets) - 1)
    known = buckets[places] == found.bucket
    starts = np.concatenate([[0], np.cumsum(known)])[found.start]
    columns = places[known]
    values = np.sqrt(found.count[known].astype(np.float32)) * idf[columns]
    return csr_array((values, columns.astype(np.int32), starts.astype(np.int32)), shape=(len(found), len(buckets)))


def _of_length_one(rows: Any) -> Any:
    from scipy.sparse import csr_array

    lengths = np.sqrt(np.asarray((rows * rows).sum(axis=1)).ravel())
    scale = (1 / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    values = rows.data * np.repeat(scale, np.diff(rows.indptr))
    return csr_array((values, rows.indices, rows.indptr), shape=rows.shape)


def _nearest(rows: Any, centres: Floats) -> tuple[Labels, Floats]:
    """The centre of greatest cosine for each row, the first of equals, and its product with the row."""
    products = np.asarray(rows @ centres.T)
    labels = products.argmax(axis=1)
    return labels, products[np.arange(len(labels)), labels]


def _spread_start(rows: Any, num_clusters: int, rng: np.random.Generator) -> Floats:
    """Rows as first centres, each drawn by its squared distance from those before (k-means++, Arthur and Vassilvitskii
    2007, section 2.2); of rows of length 1 that is 2 - 2 x cosine."""
    chosen = [int(rng.integers(rows.shape[0]))]
    cosines = np.full(rows.shape[0], -1.0)
    while len(chosen) < num_clusters:
        cosines = np.maximum(cosines, np.asarray(rows @ rows[[chosen[-1]]].toarray()[0]))
        far = np.cumsum(np.maximum(1.0 - cosines, 0.0) + 1e-12)
        chosen.append(int(np.searchsorted(far, rng.random() * far[-1])))
    return np.asarray(rows[chosen].toarray(), np.float32)


def _lloyd(rows: Any, centres: Floats) -> tuple[Floats, float]:
    """Centres after the last round, and the sum of cosines with them."""
    last: Labels | None = None
    for _ in range(ROUNDS):
        labels, cosines = _nearest(rows, centres)
        if last is not None and (labels == last).all():
            break
        last = labels
        centres = _centres(rows, _none_empty(labels, cosines, len(centres)), len(centres))
    return centres, float(np.sum(_nearest(rows, centres)[1], dtype=np.float64))


def _none_empty(labels: Labels, cosines: Floats, num_clusters: int) -> Labels:
    """A cluster without a row takes one of those that fit worst where they are."""
    empty = np.flatnonzero(np.bincount(labels, minlength=num_clusters) == 0)
    if not len(empty):
        return labels
    labels = labels.copy()
    labels[np.argsort(cosines, kind="stable")[: len(empty)]] = empty[: len(labels)]
    return labels


def _centres(rows: Any, labels: Labels, num_clusters: int) -> Floats:
    from scipy.sparse import csr_array

    size = len(labels)
    members = csr_array((np.ones(size, np.float32), (labels, np.arange(size))), shape=(num_clusters, size))
    sums = np.asarray((members @ rows).toarray(), np.float32)
    lengths = np.sqrt(np.sum(sums * sums, axis=1, keepdims=True))
    return np.asarray(sums / np.where(lengths > 0, lengths, 1), np.float32)
