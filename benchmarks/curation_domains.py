"""Automatic domains on six pooled sources: how well parts by topic agree with the sources the texts came from.

Purity and normalised mutual information (NMI, over the arithmetic mean of both entropies) over several seeds, and the
CPU seconds of fitting and of assigning. scikit-learn's TfidfVectorizer and KMeans run beside it on the same texts where
they are installed, in turns.
"""

import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import paired
from orfevre.curate import clusters

SOURCES = ("wiki_en", "news_en", "math_problems_en", "dialogue_en", "techdocs_en", "law_fr")
TEXTS, SMALL_TEXTS = 600, 60
CHARS = 4_000
SEEDS = (1, 2, 3, 4, 5)

Labels = NDArray[np.int64]


def run(data: Path | None, *, small: bool = False) -> int:
    if data is None or not (data / "text").is_dir():
        print("domains: skipped, --data with text/ is needed")
        return 0
    most = SMALL_TEXTS if small else TEXTS
    found = [_texts(data / "text" / f"{name}.jsonl.zst", most) for name in SOURCES]
    texts = [text for own in found for text in own]
    truth = np.repeat(np.arange(len(SOURCES)), [len(own) for own in found])
    print(f"{len(texts):,} texts of up to {CHARS:,} characters from {', '.join(SOURCES)}; {len(SOURCES)} domains")
    sides: dict[str, Callable[[Sequence[str], int], Labels]] = {"orfevre": _ours}
    try:
        import sklearn  # noqa: F401

        sides["scikit-learn"] = _peers
    except ImportError:
        print("scikit-learn: skipped, not installed (pip install scikit-learn)")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    quality: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for seed in SEEDS[:2] if small else SEEDS:
        for name, divide in sides.items():
            begin = time.process_time()
            labels = divide(texts, seed)
            seconds[name].append(time.process_time() - begin)
            quality[name].append(agreement(labels, truth))
    for name in sides:
        _say(name, quality[name], seconds[name])
    if "scikit-learn" in sides:
        print(*paired.ratio(seconds["orfevre"], seconds["scikit-learn"]).lines("scikit-learn"), sep="\n")
    _assignment(texts)
    return 0


def agreement(labels: Labels, truth: Labels) -> tuple[float, float]:
    """Purity and NMI of two labellings of the same texts."""
    table = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(table, (labels, truth), 1)
    share = table / len(truth)
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    some = share > 0
    mutual = float(np.sum(share[some] * np.log(share[some] / np.outer(rows, columns)[some])))
    entropies = [-float(np.sum(side[side > 0] * np.log(side[side > 0]))) for side in (rows, columns)]
    return float(table.max(axis=1).sum() / len(truth)), 2 * mutual / sum(entropies)


def _ours(texts: Sequence[str], seed: int) -> Labels:
    return clusters.fit([text.encode() for text in texts], len(SOURCES), seed)[1]


def _peers(texts: Sequence[str], seed: int) -> Labels:
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = TfidfVectorizer(max_df=clusters.MOST_SHARE, min_df=clusters.LEAST_TEXTS, sublinear_tf=True).fit_transform(
        texts
    )
    made = KMeans(len(SOURCES), n_init=clusters.RESTARTS, random_state=seed).fit(rows)
    return np.asarray(made.labels_, np.int64)


def _say(name: str, quality: Sequence[tuple[float, float]], seconds: Sequence[float]) -> None:
    (purity, nmi), low, high = np.median(quality, axis=0), np.min(quality, axis=0), np.max(quality, axis=0)
    print(
        f"{name:<13} purity {purity:.3f} ({low[0]:.3f} to {high[0]:.3f})  "
        f"NMI {nmi:.3f} ({low[1]:.3f} to {high[1]:.3f})  "
        f"{np.median(seconds):.2f} CPU seconds ({min(seconds):.2f} to {max(seconds):.2f}), {len(seconds)} seeds"
    )


def _assignment(texts: Sequence[str]) -> None:
    """Of texts that are no part of the fit: how fast, and the words of the parts."""
    fitted, rest = texts[::2], [text.encode() for text in texts[1::2]]
    model, labels = clusters.fit([text.encode() for text in fitted], len(SOURCES), SEEDS[0])
    begin = time.process_time()
    for start in range(0, len(rest), 256):
        model.nearest(rest[start : start + 256])
    seconds = time.process_time() - begin
    print(f"assigning     {sum(map(len, rest)) / 1e6 / max(seconds, 1e-9):.1f} MB per CPU second")
    for number, words in enumerate(clusters.words(fitted, labels, len(SOURCES)), start=1):
        print(f"part {number}: {', '.join(words)}")


def _texts(file: Path, most: int) -> list[str]:
    """The beginnings of the first documents; of files with few, pieces of each too."""
    import zstandard

    found: list[str] = []
    with file.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            text = json.loads(line)["text"]
            found += [text[start : start + CHARS] for start in range(0, max(len(text) - CHARS + 1, 1), 10 * CHARS)][:20]
            if len(found) >= most:
                break
    return found[:most]
