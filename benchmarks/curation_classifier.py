"""The quality classifier on real text: what it tells apart on documents it did not learn from, and how fast it scores.

Two kinds of text from shared/data at a time; no document is on both sides of the split.
"""

import io
import json
import time
from pathlib import Path

import numpy as np

from orfevre.curate import linear

PAIRS = (("books_en", "news_en"), ("wiki_en", "dialogue_en"), ("wiki_en", "news_en"), ("law_fr", "books_fr"))
PIECES = 3_000
PIECE_CHARS = 2_000
REPEATS = 5


def run(data: Path | None, pieces: int = PIECES) -> int:
    if data is None or not (data / "text").is_dir():
        print("classifier: skipped, --data with text/ is needed")
        return 0
    for good, ordinary in PAIRS:
        kinds = [_pieces(data / "text" / f"{name}.jsonl.zst", pieces) for name in (good, ordinary)]
        learnt, held = zip(*(_halves(kind) for kind in kinds), strict=True)
        begin = time.process_time()
        model = linear.train(*learnt)
        seconds = time.process_time() - begin
        scores = model.scores([*held[0], *held[1]])
        gold = np.repeat([True, False], [len(held[0]), len(held[1])])
        print(
            f"classifier, {good} against {ordinary}: AUC {linear.auc(gold, scores):.4f} on {len(gold):,} held-out "
            f"pieces, learnt from {sum(map(len, learnt)):,} in {seconds:.1f} CPU seconds"
        )
    _speed(model, [piece for kind in kinds for _, piece in kind])
    return 0


def _speed(model: linear.Linear, texts: list[bytes]) -> None:
    size, speeds = sum(map(len, texts)) / 1e6, []
    for _ in range(REPEATS):
        begin = time.process_time()
        for start in range(0, len(texts), 256):
            model.scores(texts[start : start + 256])
        speeds.append(size / (time.process_time() - begin))
    print(f"classifier: scores {np.median(speeds):.1f} MB per CPU second ({min(speeds):.1f} to {max(speeds):.1f})")


def _pieces(file: Path, most: int) -> list[tuple[str, bytes]]:
    """(document, piece), as many of each document as it is long, up to `most` in all."""
    import zstandard

    found = []
    with file.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            row = json.loads(line)
            for start in range(0, len(row["text"]), PIECE_CHARS):
                found.append((row["id"], row["text"][start : start + PIECE_CHARS].encode()))
    return found[:: max(1, len(found) // most)]


def _halves(pieces: list[tuple[str, bytes]]) -> tuple[list[bytes], list[bytes]]:
    """Four fifths of the documents to learn from, a fifth to measure on: no document on both sides."""
    documents = sorted({name for name, _ in pieces})
    held = set(documents[::5])
    return [piece for name, piece in pieces if name not in held], [piece for name, piece in pieces if name in held]


if __name__ == "__main__":
    import sys

    sys.exit(run(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
