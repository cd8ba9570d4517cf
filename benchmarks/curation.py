"""All of curation and tokenisation beside its peers: each part in turn, as ratios of CPU seconds with their spread.

python -m benchmarks curation --data ../shared/data
"""

import importlib
from collections.abc import Callable
from pathlib import Path

PARTS = {
    "readers": "records out of JSON lines and WARC beside orjson, FastWARC, warcio, datatrove",
    "extraction": "main text of pages beside trafilatura and resiliparse",
    "classifier": "the quality classifier: how well it tells sources apart, and how fast",
    "languages": "language identification beside pycld2, py3langid, lingua",
    "filters": "the quality rules of Gopher, C4 and FineWeb beside datatrove; repair beside ftfy",
    "personal": "personal data beside Presidio",
    "domains": "a pooled source split by topic, beside scikit-learn, against where its texts came from",
    "dedup": "near-duplicates beside datatrove, Daft, rensa, datasketch",
    "shuffle": "deduplication's shuffle on signatures alone, millions of documents",
    "contamination": "decontamination beside datatrove",
    "pipeline": "the whole stage by step, and over the three runners",
    "tokens": "tokenising beside gigatoken, tokenizers, tiktoken, kitoken",
    "loader": "which sample comes next: arithmetic alone, and with the tokens",
}
"""Each is a module of its own, curation_<name>.py."""


def run(data: Path | None) -> int:
    codes = []
    for name, what in PARTS.items():
        print(f"\n## curation_{name}: {what}", flush=True)
        codes.append(part(name)(data))
    return max(codes)


def part(name: str) -> Callable[[Path | None], int]:
    """One part, imported when it is run: each needs peers of its own."""

    def run_part(data: Path | None) -> int:
        code: int = importlib.import_module(f"benchmarks.curation_{name}").run(data)
        return code

    return run_part
