"""Tokenizing beside gigatoken alone, kitoken, tiktoken and Hugging Face tokenizers: one 32k byte-level BPE, one thread,
CPU seconds, all in one run.

Ours reads curate's Parquet, encodes, checks each document's bytes, counts, writes shards and joins them; its peers
encode texts that lie in memory and keep the ids. `orfevre, whole stage` adds loading the tokenizer and comparing both
libraries, the same for much text or little. Everybody starts with an empty memory in every turn; each gets as much of
the text as takes it a second or so, in turns, and its cost a megabyte is set against ours in the same turn. `warm` is
gigatoken on the text it has just seen.

Text is --data (text/*.jsonl.zst, the same bytes from each file), or the standard library's modules. The tokenizer is
trained once on the begins of the files and kept in the system's temporary folder.
"""

import hashlib
import io
import json
import os
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

from benchmarks.paired import ratio
from orfevre import recipe
from orfevre.data import documents, encoders, tokenizer
from orfevre.tokenize import encode, stage

REPEATS = 5
VOCAB_SIZE = 32_000
GOAL = 100.0
"""Megabytes a CPU second, with the write."""

SOURCE = "text"
MEGABYTES = {
    "orfevre": 64.0,
    "orfevre, whole stage": 64.0,
    "gigatoken alone": 64.0,
    "gigatoken alone, warm": 64.0,
    "kitoken": 16.0,
    "tiktoken": 12.0,
    "tokenizers": 2.0,
}

Encode = Callable[[Sequence[str]], Any]
"""Encodes texts; its CPU seconds count."""


def run(data: Path | None = None, *, small: bool = False) -> int:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts = list(_texts(data, 0.6 if small else 64.0))
    path = _tokenizer(data, 600 if small else VOCAB_SIZE)
    scale = 0.01 if small else 1.0
    slices = {name: _first(texts, size * scale) for name, size in MEGABYTES.items()}
    with tempfile.TemporaryDirectory() as folder:
        curated = Path(folder) / "curate"
        _write_documents(curated, texts)
        spent = _spent(path, curated, Path(folder), slices, 2 if small else REPEATS)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{size:.1f} MB in {len(texts)} texts, vocabulary {tokenizer.load(path).vocab_size}")
    for name, seconds in spent.items():
        print(f"{name:24}{1 / median(seconds):8.1f} MB a CPU second ({1 / max(seconds):.1f} to {1 / min(seconds):.1f})")
    ours = 1 / median(spent["orfevre"])
    print(f"goal of {GOAL:g} MB a CPU second with the write: {'met' if ours >= GOAL else 'missed'}, {ours:.1f}")
    for name, seconds in spent.items():
        if not name.startswith("orfevre"):
            print("\n".join(ratio(spent["orfevre"], seconds).lines(name)))
    _compare_ids(path, _first(texts, 0.02 if small else 2.0))
    return 0


def _spent(
    path: Path, curated: Path, folder: Path, slices: dict[str, list[str]], repeats: int
) -> dict[str, list[float]]:
    """CPU seconds a megabyte of everyone who is here, turn by turn."""
    found = {name: _megabytes(texts) for name, texts in slices.items()}
    spent: dict[str, list[float]] = {}
    for turn in range(repeats):
        out = folder / f"out{turn}"
        for name, seconds in _ours(path, curated, out).items():
            spent.setdefault(name, []).append(seconds / found[name])
        for name, make in peers(path).items():
            used = make()
            texts = slices[name]
            spent.setdefault(name, []).append(_timed(lambda used=used, texts=texts: used(texts)) / found[name])  # type: ignore[misc]
            if name == "gigatoken alone":
                again = _timed(lambda used=used, texts=texts: used(texts))  # type: ignore[misc]
                spent.setdefault(f"{name}, warm", []).append(again / found[name])
    return spent


def _ours(path: Path, curated: Path, out: Path) -> dict[str, float]:
    encode._loaded.cache_clear()  # as in a worker that has just started
    whole, parts = out / "stage", out / "parts"
    whole.mkdir(parents=True)
    asked = _recipe(path)
    seconds = {"orfevre, whole stage": _timed(lambda: stage.run(asked, {"curate": curated}, whole))}
    encode._loaded.cache_clear()
    index = encode.index_of(encode._loaded(path, path.stat().st_mtime_ns, "gigatoken").tokenizer, {})

    def encode_and_write() -> None:
        made = encode.cut(encode.measure(curated, SOURCE), path, "gigatoken", parts)
        for part in made:
            encode.encode(part)
        encode.join(made, parts, index)

    return {"orfevre": _timed(encode_and_write)} | seconds


def peers(path: Path) -> dict[str, Callable[[], Encode]]:
    """By name, something that makes an encoder with an empty memory; those not installed are said and left out."""
    known: dict[str, tuple[str, Callable[[], Encode]]] = {
        "gigatoken alone": ("gigatoken", lambda: _gigatoken(path)),
        "kitoken": ("kitoken", lambda: _kitoken(path)),
        "tiktoken": ("tiktoken", lambda: _tiktoken(path)),
        "tokenizers": ("tokenizers", lambda: encoders_of(path)),
    }
    here = {name: make for name, (module, make) in known.items() if find_spec(module) is not None}
    for name in known.keys() - here.keys():
        if name not in _said:
            _said.add(name)
            print(f"{name}: skipped, not installed (extra: benchmark)")
    return here


_said: set[str] = set()


def encoders_of(path: Path) -> Encode:
    made = tokenizer.load(path)
    return made.encode_batch


def _gigatoken(path: Path) -> Encode:
    inner = encoders.Gigatoken(tokenizer.load(path))._inner
    return lambda texts: inner.encode_batch(list(texts), parallel=False)


def _kitoken(path: Path) -> Encode:
    from kitoken import Kitoken

    inner = Kitoken.from_tokenizers_file(str(path))
    return lambda texts: [inner.encode(text, False) for text in texts]


def _tiktoken(path: Path) -> Encode:
    import tiktoken

    table = json.loads(path.read_text(encoding="utf-8"))
    byte_of = _bytes_by_letter()
    special = {entry["content"] for entry in table["added_tokens"]}
    ranks = {
        bytes(byte_of[letter] for letter in text): number
        for text, number in table["model"]["vocab"].items()
        if text not in special
    }
    inner = tiktoken.Encoding("ours", pat_str=tokenizer.PATTERN, mergeable_ranks=ranks, special_tokens={})
    return lambda texts: [inner.encode_ordinary(text) for text in texts]


def _bytes_by_letter() -> dict[str, int]:
    """Byte-level BPE writes a byte that can be seen as itself, the others as the letters from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + place): byte for place, byte in enumerate(unseen)}


def _compare_ids(path: Path, texts: Sequence[str]) -> None:
    expected = tokenizer.load(path).encode_batch(texts)
    for name, make in peers(path).items():
        if name != "tokenizers":
            found = make()(texts)
            same = sum(list(mine) == theirs for mine, theirs in zip(found, expected, strict=True))
            print(f"{name}: the ids of {same} of {len(texts)} texts equal those of tokenizers")


def _timed(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _recipe(path: Path) -> recipe.Recipe:
    return recipe.from_table(
        {
            "name": "tokens",
            "runner": {"kind": "inline"},
            "sources": [
                {"name": SOURCE, "paths": ["none"], "format": "text", "licence": "none", "language": "und"},
            ],
            "tokenize": {"file": str(path)},
            "mix": {"target": {SOURCE: 1.0}},
        },
        "benchmark",
    )


def _write_documents(curated: Path, texts: Sequence[str]) -> None:
    """As curate leaves them, in the order of their ids, 1 % held out."""
    rows = sorted((documents.identity(SOURCE, str(number)), text) for number, text in enumerate(texts))
    held_out = [number % 100 == 37 for number in range(len(rows))]
    columns: dict[str, Any] = {name: pa.nulls(len(rows), field.type) for name, field in _fields().items()}
    columns |= {
        "id": [name for name, _ in rows],
        "text": [text for _, text in rows],
        "language": ["en"] * len(rows),
        "num_bytes": [len(text.encode()) for _, text in rows],
        "split": [documents.VALIDATION if held else documents.TRAIN for held in held_out],
    }
    with documents.TableWriter(documents.path_of(curated, SOURCE), documents.DOCUMENTS) as writer:
        writer.write(pa.table(columns, documents.DOCUMENTS))


def _fields() -> dict[str, Any]:
    return {field.name: field for field in documents.DOCUMENTS}


def _tokenizer(data: Path | None, vocab_size: int) -> Path:
    key = hashlib.sha256(f"{tokenizer.PATTERN}{vocab_size}{data}".encode()).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"orfevre-benchmark-tokenizer-{key}.json"
    if not path.exists():
        size = 0.5 if vocab_size < VOCAB_SIZE else 45.0
        tokenizer.train([list(_texts(data, size))], vocab_size).save(path)
    return path


def _texts(data: Path | None, megabytes: float) -> Iterator[str]:
    """The same bytes from each file as far as they go, whole documents but of at most 200,000 characters."""
    files = sorted((data / "text").glob("*.jsonl.zst")) if data else []
    readers = [_jsonl(path) for path in files] or [_modules()]
    for reader in readers:
        left = megabytes * 1e6 / len(readers)
        for text in reader:
            if left <= 0:
                break
            left -= len(text.encode())
            yield text


def _jsonl(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        yield from (json.loads(line)["text"][:200_000] for line in lines)


def _modules() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" not in path.parts:
            text = path.read_text(encoding="utf-8", errors="ignore").strip()
            if text:
                yield text[:200_000]


def _first(texts: Sequence[str], megabytes: float) -> list[str]:
    """Every n-th text, so that each source is there."""
    sizes = np.array([len(text.encode()) for text in texts])
    step = max(1, int(sizes.sum() / (megabytes * 1e6)))
    return list(texts[::step])


def _megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6
