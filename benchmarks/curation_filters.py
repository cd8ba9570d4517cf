"""Quality rules beside datatrove's filters, and mojibake repair beside ftfy alone: MB per CPU second, all in one run.

Text is English articles of --data (text/wiki_en, text/news_en), or the standard library. Ours is the
whole step of curation: drafts to verdicts, with every rule of Gopher, C4 and FineWeb. datatrove's four filters run on a
part of the same texts, once with its own words (spaCy) and once with ours, and then decisions are compared one by one.
"""

import importlib.util
import io
import json
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.paired import ratio
from orfevre.curate import repair
from orfevre.curate.draft import Draft
from orfevre.curate.quality import Judge, judge_of
from orfevre.data.readers.record import Facts
from orfevre.kernels import native, quality_python
from orfevre.recipe import Quality, Source

REPEATS = 5
BATCH = 256
SETS = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
GOAL_RULES, GOAL_REPAIR = 30.0, 100.0
MEGABYTES = {"ours": 16.0, "datatrove": 0.25, "datatrove, our words": 0.5, "ftfy": 2.0}


def run(data: Path | None = None, *, small: bool = False) -> int:
    """2 where the C kernel is not built."""
    if native.library() is None:
        print("curation_filters times the C kernel, which is not built: install a C compiler, then", file=sys.stderr)
        print("pip install -e . --force-reinstall --no-deps", file=sys.stderr)
        return 2
    texts = _texts(data, int((0.3 if small else MEGABYTES["ours"]) * 1e6))
    repeats = 2 if small else REPEATS
    judged(texts[:1], judge(SETS))  # the table of characters is made once a process
    print(f"{_size(texts) / 1e6:.1f} MB in {len(texts)} texts, {repeats} repeats in turns")
    parts(texts, repeats)
    compare_rules(texts, repeats, 0.1 if small else 1.0)
    compare_repair(texts, repeats, 0.1 if small else 1.0)
    return 0


def parts(texts: Sequence[str], repeats: int) -> None:
    """What each set of rules costs alone."""
    for sets in ((), *((name,) for name in SETS), ("starcoder",)):
        seconds = [_cpu(lambda sets=sets: judged(texts, judge(sets))) for _ in range(repeats)]
        name = ", ".join(sets) or "rules that always hold"
        print(f"  {name}: {_size(texts) / 1e6 / median(seconds):.0f} MB/CPU s")


def compare_rules(texts: Sequence[str], repeats: int, scale: float) -> None:
    rules = judge(SETS)
    peers: dict[str, tuple[Sequence[str], Callable[[Sequence[str]], Any]]] = {}
    if importlib.util.find_spec("datatrove") is None:
        print("datatrove is not installed (pip install -e '.[benchmark]'): skipped")
    else:
        own = importlib.util.find_spec("spacy") is not None
        for name in (["datatrove"] if own else []) + ["datatrove, our words"]:
            peers[name] = (_first(texts, scale * MEGABYTES[name]), _datatrove(name != "datatrove"))
        if not own:
            print("spacy is not installed: datatrove runs with our words only")
    for some, filter_all in peers.values():
        filter_all(some[:1])  # loads its tokenizer
    ours: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(repeats):
        ours.append(_cpu(lambda: judged(texts, rules)) / _size(texts))
        for name, (some, filter_all) in peers.items():
            others[name].append(_cpu(lambda some=some, filter_all=filter_all: filter_all(some)) / _size(some))
    speed = 1e-6 / median(ours)
    print(f"all rules: orfevre {speed:.1f} MB/CPU s (goal {GOAL_RULES:.0f}: {_met(speed >= GOAL_RULES)})")
    for name, costs in others.items():
        print(f"  {name}: {1e-6 / median(costs):.3f} MB/CPU s")
        print("\n".join(f"    {line}" for line in ratio(ours, costs).lines(name)))
    if peers:
        some, filter_all = peers["datatrove, our words"]
        pairs = list(zip(_outcomes(some, rules), filter_all(some), strict=True))
        equal = sum(own == peer for own, peer in pairs)
        dropped = sum(not peer[0] for _, peer in pairs)
        print(f"  equal verdicts and texts on equal words: {equal} of {len(pairs)}, of which {dropped} are drops")


def compare_repair(texts: Sequence[str], repeats: int, scale: float) -> None:
    fix = repair.fixer()
    some = _first(texts, scale * MEGABYTES["ftfy"])
    ours, peers = [], []
    for _ in range(repeats):
        ours.append(_cpu(lambda: _mend(texts)) / _size(texts))
        peers.append(_cpu(lambda: [fix(text) for text in some]) / _size(some))
    speed = 1e-6 / median(ours)
    print(
        f"mojibake: orfevre {speed:.0f} MB/CPU s on clean text (goal {GOAL_REPAIR:.0f}: {_met(speed >= GOAL_REPAIR)})"
    )
    print(f"  ftfy alone: {1e-6 / median(peers):.1f} MB/CPU s")
    print("\n".join(f"    {line}" for line in ratio(ours, peers).lines("ftfy")))


def judge(sets: tuple[str, ...]) -> Judge:
    """The rules of the named sets alone, as datatrove has them."""
    source = {"name": "s", "paths": ["x"], "format": "text", "licence": "none", "language": "en", "quality": sets}
    always = {
        "min_chars": 1, "max_chars": 10**9, "min_letter_fraction": 0, "min_mean_word_length": 0,
        "max_mean_word_length": 1e9, "max_duplicate_line_fraction": 1,
    }  # fmt: skip
    return judge_of(Quality.model_validate(always), Source.model_validate(source))


def judged(texts: Sequence[str], rules: Judge) -> list[Draft]:
    drafts = [Draft("", text, Facts(), False, "en") for text in texts]
    for start in range(0, len(drafts), BATCH):
        rules(drafts[start : start + BATCH])
    return drafts


def _outcomes(texts: Sequence[str], rules: Judge) -> list[tuple[bool, str]]:
    return [(draft.drop is None, draft.text if draft.drop is None else "") for draft in judged(texts, rules)]


def _mend(texts: Sequence[str]) -> None:
    drafts = [Draft("", text, Facts(), False, "en") for text in texts]
    for start in range(0, len(drafts), BATCH):
        repair.mend(drafts[start : start + BATCH])


class _OurWords:
    def word_tokenize(self, text: str) -> list[str]:
        return quality_python.words(text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        from orfevre.kernels import classes

        return [(0, 0)] * quality_python.sentences(text, classes.terminals())


def _datatrove(our_words: bool) -> Callable[[Sequence[str]], list[tuple[bool, str]]]:
    """Its four filters in FineWeb's order: whether each text stays, and what it has become."""
    from datatrove.data import Document
    from datatrove.pipeline import filters
    from datatrove.utils import text as texts_of
    from datatrove.utils import word_tokenizers

    chain = [
        filters.GopherRepetitionFilter(), filters.GopherQualityFilter(), filters.C4QualityFilter(),
        filters.FineWebQualityFilter(),
    ]  # fmt: skip
    load = word_tokenizers.load_word_tokenizer

    def filter_all(texts: Sequence[str]) -> list[tuple[bool, str]]:
        word_tokenizers.load_word_tokenizer = (lambda language: _OurWords()) if our_words else load
        texts_of.split_into_parts.cache_clear()
        found = []
        for text in texts:
            document = Document(text=text, id="0")
            stays = all(each.filter(document) is True for each in chain)
            found.append((stays, document.text if stays else ""))
        word_tokenizers.load_word_tokenizer = load
        return found

    return filter_all


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return max(time.process_time() - start, 1e-9)


def _met(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


def _size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def _first(texts: Sequence[str], megabytes: float) -> list[str]:
    taken, size = [], 0
    for text in texts:
        taken.append(text)
        size += len(text.encode())
        if size >= megabytes * 1e6:
            break
    return taken


def _texts(data: Path | None, num_bytes: int) -> list[str]:
    """Whole texts of about so many bytes, the two sources in turns."""
    files = [data / "text" / f"{name}.jsonl.zst" for name in ("wiki_en", "news_en")] if data else []
    found: list[str] = []
    for path in files:
        if path.is_file():
            found += _lines(path, num_bytes // len(files))
    return found or _library(num_bytes)


def _lines(path: Path, num_bytes: int) -> list[str]:
    import zstandard

    found, size = [], 0
    with path.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            found.append(str(json.loads(line)["text"]))
            size += len(found[-1].encode())
            if size >= num_bytes:
                break
    return found


def _library(num_bytes: int) -> list[str]:
    found, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        found.append(path.read_text(encoding="utf-8", errors="replace"))
        size += len(found[-1].encode())
        if size >= num_bytes:
            break
    return found


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
