"""JSON lines of any length from a seed: documents of a Zipfian vocabulary, some of them copies or near-copies.

    python -m benchmarks.curation_input FOLDER GIGABYTES [--seed N]     # files of 250 MB

Of a hundred documents, two are exact copies of an earlier one in their file and eight are copies with one word in fifty
changed, so that every near-copy is about 0.8 alike or less, and those with the least changes are duplicates.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

FILE_BYTES = 250 * 10**6
VOCABULARY = 50_000
KEPT_FOR_COPIES = 500


def write(folder: Path, num_bytes: int, seed: int = 1) -> list[Path]:
    """Files in `folder` of together about `num_bytes`; the same for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    while num_bytes > 0:
        path = folder / f"generated-{len(paths):04d}.jsonl"
        num_bytes -= _write_file(path, min(num_bytes, FILE_BYTES), seed * 10_000 + len(paths))
        paths.append(path)
    return paths


def _write_file(path: Path, num_bytes: int, seed: int) -> int:
    written = 0
    with path.open("w", encoding="ascii") as file:
        for number, text in enumerate(texts(seed)):
            line = json.dumps({"id": f"{seed}-{number}", "text": text}) + "\n"
            written += file.write(line)
            if written >= num_bytes:
                return written
    raise AssertionError("unreachable")


def texts(seed: int) -> Iterator[str]:
    """Endless."""
    words = vocabulary()
    chance, draws = random.Random(seed), np.random.default_rng(seed)
    earlier: list[list[str]] = []
    while True:
        for length in draws.integers(60, 1000, 256).tolist():
            kind = chance.random()
            if earlier and kind < 0.1:
                chosen = list(chance.choice(earlier))
                if kind >= 0.02:
                    for place in range(chance.randrange(50), len(chosen), chance.choice((50, 100, 200))):
                        chosen[place] = chance.choice(words)
            else:
                # the inverse of Zipf's distribution with exponent 1
                ranks = np.exp(draws.random(length) * np.log(VOCABULARY)).astype(np.int64)
                chosen = [words[rank - 1] for rank in ranks.tolist()]
                earlier.append(chosen)
                if len(earlier) > KEPT_FOR_COPIES:
                    earlier.pop(chance.randrange(KEPT_FOR_COPIES))
            lines = [" ".join(chosen[start : start + 100]) + "." for start in range(0, len(chosen), 100)]
            yield "\n".join(lines)


def vocabulary() -> list[str]:
    """Words that can be spoken, the commonest first and shortest."""
    chance = random.Random(0)
    consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        syllables = 1 + min(len(found) // 40, 1) + min(len(found) // 2000, 1) + min(len(found) // 20_000, 1)
        found["".join(chance.choice(consonants) + chance.choice(vowels) for _ in range(syllables))] = None
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("gigabytes", type=float)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"{len(write(asked.folder, int(asked.gigabytes * 1e9), asked.seed))} files in {asked.folder}")


if __name__ == "__main__":
    main()
