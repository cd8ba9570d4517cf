"""Decontamination: word 13-grams of evaluation items in training text, beside datatrove's NgramsDecontFilter.

Speed is of looking only, CPU seconds for chunks of documents in turns, with the index of all items in memory on both
sides. datatrove splits words with spaCy by default (there the index is of 300 items a set, since spaCy takes minutes
for all); here with `str.split` too, its fastest. What is found: items planted into documents as they are, in other case
and punctuation, with accents, by half; which of them each side finds, and how many clean documents it drops. datatrove
drops for one shared 13-gram, orfevre for the recipe's share of an item's.

Texts and sets: --data FOLDER with eval/llm-foundry/*.jsonl and text/*.jsonl.zst; without, made of the standard
library's modules and of sentences of them as items.
"""

import importlib.util
import io
import itertools
import json
import random
import re
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.paired import ratio
from orfevre.curate import contamination_index
from orfevre.kernels import native
from orfevre.recipe import Recipe, from_table

CHUNK_BYTES = 1_500_000
NUM_CHUNKS = 8
SPACY_BYTES, SPACY_CHUNKS = 60_000, 5
NUM_PLANTED = 60
GOAL = 100.0
"""MB per CPU second."""

LEAST_MEGABYTES = 5.0
"""Of less the goal is not said to be met or missed."""

SETS = {
    "gsm8k": ("context",), "boolq": ("query",), "arc_easy": ("query",), "human_eval": ("prompt",),
    "lambada_openai": ("context",), "piqa": ("query", "choices"), "winogrande": ("context_options", "continuation"),
}  # fmt: skip
TEXTS = ("wiki_en", "news_en", "books_fr", "code_python")

Finder = Callable[[Sequence[str]], list[bool]]
"""Which documents hold an item."""

Items = dict[str, list[str]]


def run(data: Path | None = None, *, small: bool = False) -> int:
    """2 where the C kernel is not built."""
    if native.library() is None:
        print(
            "curation_contamination times the C kernel, which is not built: install a C compiler, then", file=sys.stderr
        )
        print("pip install -e . --force-reinstall --no-deps", file=sys.stderr)
        return 2
    real = data is not None and (data / "eval" / "llm-foundry" / "boolq.jsonl").is_file()
    documents = list(real_texts(data) if real and data else modules())
    size = 60_000 if small else CHUNK_BYTES
    chunks = chunked(documents, size, 2 if small else NUM_CHUNKS)
    with tempfile.TemporaryDirectory() as folder:
        items = real_items(data) if real and data else made_items(documents)
        recipe = recipe_of(items, Path(folder))
        started = time.process_time()
        contamination_index.build(recipe, Path(folder) / "index")
        seconds = time.process_time() - started
        index = contamination_index.load(Path(folder) / "index")
        print(f"{len(index.sizes):,} items, {len(index.index.grams):,} n-grams; index in {seconds:.1f} CPU seconds")
        finders = {"orfevre": ours(index, recipe)} | datatrove_finders(items, Path(folder) / "peer")
        quick = {name: find for name, find in finders.items() if "spaCy" not in name}
        compare_speed(chunks, quick)
        if len(finders) > len(quick):
            few = chunked(documents, 20_000 if small else SPACY_BYTES, 2 if small else SPACY_CHUNKS)
            compare_speed(few, {name: find for name, find in finders.items() if "str.split" not in name})
        compare_finds(next(iter(items.values()))[: 10 if small else NUM_PLANTED], chunks, quick)
    return 0


def ours(index: contamination_index.Items, recipe: Recipe) -> Finder:
    least = recipe.curate.contamination.min_overlap

    def find(texts: Sequence[str]) -> list[bool]:
        documents, _, shares = index.shares([text.encode() for text in texts])
        hit = set(documents[shares >= least].tolist())
        return [number in hit for number in range(len(texts))]

    return find


def datatrove_finders(items: Items, folder: Path) -> dict[str, Finder]:
    """NgramsDecontFilter with 13 words, over spaCy's words and over `str.split`, indexes made of the same items.

    Its indexer downloads its sets; the index is a file of hashes, written here with its own functions.
    """
    if importlib.util.find_spec("datatrove") is None:
        print("datatrove is not installed (pip install -e '.[benchmark]'): its filter is skipped")
        return {}
    import numpy as np
    from datatrove.data import Document
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.text import ngrams, simplify_text

    config = NGramsDecontConfig(n_grams=13)

    class Split:
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

    def finder(name: str, words: Any, items: Items) -> Finder:
        place = folder / name
        place.mkdir(parents=True)
        decont = NGramsDecontFilter(str(place), config)
        decont.tokenizer = words or decont.tokenizer
        for task, texts in items.items():
            pieces = (decont.tokenizer.word_tokenize(simplify_text(text, config.norm_config)) for text in texts)
            hashes = {decont.hash_func(" ".join(gram)) for piece in pieces for gram in ngrams(piece, config.n_grams)}
            np.array(list(hashes), config.hash_config.np_descr).tofile(place / f"{task}.index.hashes")
        decont.load_index_hashes()
        return lambda texts: [decont.filter(Document(text=text, id="")) is not True for text in texts]

    made = {"datatrove, str.split": finder("split", Split(), items)}
    if importlib.util.find_spec("spacy"):
        few = {task: texts[:300] for task, texts in items.items()}
        made["datatrove, spaCy"] = finder("spacy", None, few)
    else:
        print("spaCy is not installed: datatrove's default words are skipped")
    return made


def compare_speed(chunks: Sequence[Sequence[str]], finders: dict[str, Finder]) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    for find in finders.values():
        find(chunks[0][:2])  # warms caches, loads models
    for chunk in chunks:
        for name, find in finders.items():
            started = time.process_time()
            find(chunk)
            seconds[name].append(time.process_time() - started)
    megabytes = sum(len(text.encode()) for chunk in chunks for text in chunk) / 1e6
    print(f"looking through {megabytes:.2f} MB in {len(chunks)} chunks")
    for name, figures in seconds.items():
        print(f"  {name:22}{megabytes / sum(figures):10.2f} MB per CPU second")
    speed = megabytes / sum(seconds["orfevre"])
    if megabytes >= LEAST_MEGABYTES:
        print(f"  goal of {GOAL:g} MB per CPU second: {'met' if speed >= GOAL else 'missed'} ({speed:.1f})")
    for name in list(finders)[1:]:
        for line in ratio(seconds["orfevre"], seconds[name]).lines(name):
            print(f"  {line}", flush=True)


VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "other punctuation": lambda text: re.sub(r"[^\w\s]", " - ", text),
    "accents added": lambda text: text.replace("e", "é"),
    "first half": lambda text: " ".join(text.split()[: len(text.split()) // 2]),
}


def compare_finds(planted: Sequence[str], chunks: Sequence[Sequence[str]], finders: dict[str, Finder]) -> None:
    """Recall by the way an item is set, and how many documents are dropped that nothing was planted in."""
    hosts = [text[:4000] for chunk in chunks for text in chunk][: len(planted)]
    clean = [text for chunk in chunks[:2] for text in chunk]
    print(f"{len(planted)} items planted into documents; recall")
    for name, find in finders.items():
        shares = []
        for how, change in VARIANTS.items():
            texts = [f"{host}\n{change(item)}\n{host}" for host, item in zip(hosts, planted, strict=False)]
            before = find([f"{host}\n{host}" for host in hosts])
            hits = [hit for hit, was in zip(find(texts), before, strict=True) if not was]
            shares.append(f"{how} {sum(hits) / len(hits):.2f}")
        print(f"  {name:22}{', '.join(shares)}; {sum(find(clean))} of {len(clean)} others dropped")


def chunked(documents: Sequence[str], chunk_bytes: int, num_chunks: int) -> list[list[str]]:
    chunks: list[list[str]] = [[]]
    size = 0
    for text in documents:
        if size >= chunk_bytes:
            chunks.append([])
            size = 0
        if len(chunks) > num_chunks:
            break
        chunks[-1].append(text[: 2 * chunk_bytes])
        size += len(chunks[-1][-1].encode())
    return chunks[:num_chunks]


def real_texts(data: Path) -> Iterator[str]:
    """Documents of each text in turns, so that every chunk has some of all."""
    sources = [_rows(data / "text" / f"{name}.jsonl.zst") for name in TEXTS]
    for rows in itertools.zip_longest(*sources):
        yield from (row["text"][:40_000] for row in rows if row is not None)


def real_items(data: Path) -> Items:
    folder = data / "eval" / "llm-foundry"
    items: Items = {}
    for name, fields in SETS.items():
        rows = map(json.loads, (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
        items[name] = ["\n".join(_texts(row[field] for field in fields)) for row in rows]
    return items


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from value if isinstance(value, list) else [value]


def modules() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        yield path.read_text(encoding="utf-8", errors="replace")


def made_items(documents: Sequence[str]) -> Items:
    """Words of the documents in a new order: items that no document holds."""
    rng = random.Random(1)
    words = " ".join(documents[:40]).split()
    return {"made": [" ".join(rng.choices(words, k=40)) for _ in range(400)]}


def recipe_of(items: Items, folder: Path) -> Recipe:
    for name, texts in items.items():
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    tasks = [
        {"name": name, "paths": [str(folder / f"{name}.jsonl")], "format": "jsonl", "fields": ["text"]}
        for name in items
    ]  # fmt: skip
    source = {"name": "any", "paths": ["any"], "format": "text", "licence": "any", "language": "en"}
    return from_table(
        {"name": "any", "sources": [source], "mix": {"target": {"any": 1.0}}, "tasks": tasks}, "benchmark"
    )  # fmt: skip


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8"))
