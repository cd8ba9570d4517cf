"""The half of a synthetic run that holds text: documents, drops, tokenizer and shards. See synthetic_run.py."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from orfevre.data.documents import DOCUMENTS, DROPPED
from orfevre.recipe import Recipe


@dataclass
class Run:
    """What the makers share: where, what, and the one source of chance."""

    recipe: Recipe
    root: Path
    rng: random.Random
    documents: int

    def __truediv__(self, stage: str) -> Path:
        return self.root / stage


def _words(rng: random.Random, count: int) -> str:
    roots = ("gold", "silver", "ring", "stone", "fire", "tin", "lead", "copper", "assay", "weigh", "melt", "hammer")
    return " ".join(rng.choice(roots) + rng.choice(["", "s", "ed", "ing"]) for _ in range(count))


def write_curate(run: Run, draft: Path) -> dict[str, int]:
    (draft / "documents").mkdir()
    (draft / "dropped").mkdir()
    sources = {}
    for number, source in enumerate(run.recipe.sources):
        kept = _documents(run, source.name, run.documents * (number + 2) // 2)
        dropped = _dropped(run, source.name, kept, len(kept) * (number + 1) // 8)
        pq.write_table(pa.Table.from_pylist(kept, DOCUMENTS), draft / "documents" / f"{source.name}.parquet")
        pq.write_table(pa.Table.from_pylist(dropped, DROPPED), draft / "dropped" / f"{source.name}.parquet")
        split = {
            name: {"documents": len(rows), "bytes": sum(row["num_bytes"] for row in rows)}
            for name in ("train", "validation")
            if (rows := [row for row in kept if row["split"] == name])
        }
        kept_bytes = sum(row["num_bytes"] for row in kept)
        sources[source.name] = {
            "files": 3, "raw_bytes": kept_bytes + sum(row["num_bytes"] for row in dropped), "kept": len(kept),
            "read": len(kept) + len(dropped), "kept_bytes": kept_bytes, **split,
            "dropped": dict(Counter(row["reason"] for row in dropped if row["reason"] != "broken_record")),
            "broken": dict(Counter(row["reason"] for row in dropped if row["reason"] == "broken_record")),
            "licence": source.licence, "licences": {source.licence: len(kept)}, "language": source.language,
            "languages": dict(Counter(row["language"] for row in kept)),
            "edits": {"email": number, "mojibake": 2}, "skipped": {"image/png": number},
        }  # fmt: skip
    write_json(draft / "stats.json", {"sources": sources})
    write_json(draft / "contamination.json", _contamination())
    totals = {key: sum(table[key] for table in sources.values()) for key in ("read", "kept")}
    return totals | {"dropped": totals["read"] - totals["kept"]}


def _documents(run: Run, source: str, count: int) -> list[dict[str, Any]]:
    rows = []
    for number in range(count):
        text = f"{source} {number}: {_words(run.rng, run.rng.randint(30, 90))}"
        digest = sha256(text.encode()).hexdigest()
        rows.append({
            "id": digest[:16], "source": source, "location": f"{{data}}/{source}.txt#{number + 1}", "text": text,
            "language": run.recipe.source(source).language, "licence": run.recipe.source(source).licence,
            "language_confidence": 0.0, "url": "", "title": "", "date": "", "acquired": "2026-01-01T00:00:00Z",
            "num_bytes": len(text.encode()), "sha256": digest, "raw_sha256": digest, "quality": None, "edits": "",
            "group": digest[:16],
            "split": "validation" if number % 10 == 0 else "train",
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["id"])


def _contamination() -> dict[str, Any]:
    found = [
        {"item": item, "location": f"{{data}}/quiz.jsonl#{item}", "dropped": {"documents": 1, "overlap": 0.8},
         "kept": {"documents": item % 2, "overlap": 0.1 * (item % 2)}}
        for item in range(3, 20)
    ]  # fmt: skip
    quiz = {"items": 120, "too_short": 2, "not_checked": 3, "documents_dropped": 17, "dirty": 17,
            "partly_in_documents": 9, "found": found}  # fmt: skip
    none = dict.fromkeys(quiz, 0) | {"items": 40, "found": []}
    return {"ngram": 13, "min_words": 8, "min_overlap": 0.3, "max_items": 100, "tasks": {"quiz": quiz, "clean": none}}


def _dropped(run: Run, source: str, kept: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    twin = kept[0]
    details = {
        "too_short": "120", "language": "de 0.93", "exact_duplicate": twin["id"], "near_duplicate": twin["id"],
        "repeated_lines": "0.41", "opt_out": "robots.txt: GPTBot", "broken_record": "line 3: not JSON",
    }  # fmt: skip
    rows = []
    for number in range(count):
        text = f"dropped {source} {number} {_words(run.rng, 12)}"
        reason = run.rng.choices(list(details), weights=[5, 2, 3, 8, 2, 2, 1])[0]
        if reason == "near_duplicate":
            text = f"{twin['text'].replace('gold', 'GOLD', 1)} copy {number} <script>alert('a drop is text')</script>"
        rows.append({
            "id": sha256(text.encode()).hexdigest()[:16], "source": source, "reason": reason,
            "location": f"{{data}}/{source}.txt#d{number}", "detail": details[reason], "num_bytes": len(text),
            "url": "", "raw_sha256": None if reason == "broken_record" else sha256(text.encode()).hexdigest(),
            "text": None if reason == "broken_record" else text,
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["id"])


def write_tokenize(run: Run, draft: Path) -> dict[str, int]:
    tables = {name: pq.read_table(run / "curate" / "documents" / f"{name}.parquet") for name in run.recipe.source_names}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=run.recipe.tokenize.vocab_size, special_tokens=["<s>", "</s>", "<pad>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator((text for table in tables.values() for text in table["text"].to_pylist()), trainer)
    tokenizer.save(str(draft / "tokenizer.json"))
    sources = {
        name: {split: _shard(draft, tokenizer, name, table, split) for split in ("train", "validation")}
        for name, table in tables.items()
    }
    write_json(draft / "index.json", {"vocab_size": tokenizer.get_vocab_size(), "dtype": "uint16", "bos": 0, "eos": 1,
                                 "pad": 2, "sources": sources})  # fmt: skip
    write_json(draft / "fertility.json", {"sources": {name: _fertility(run, table, sources[name])
                                                      for name, table in tables.items()}})  # fmt: skip
    return {"tokens": sum(split["tokens"] for source in sources.values() for split in source.values())}


def _fertility(run: Run, table: pa.Table, sizes: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    language = table["language"][0].as_py()
    texts = table["text"].to_pylist()
    tokens = sum(split["tokens"] - 2 * split["documents"] for split in sizes.values())
    size, words = sum(len(text.encode()) for text in texts), sum(len(text.split()) for text in texts)
    return {language: {"documents": len(texts), "bytes": size, "characters": sum(map(len, texts)), "words": words,
                       "tokens": tokens}}  # fmt: skip


def _shard(draft: Path, tokenizer: Tokenizer, name: str, table: pa.Table, split: str) -> dict[str, int]:
    rows = [row for row in table.to_pylist() if row["split"] == split]
    ids = [[0, *tokenizer.encode(row["text"]).ids, 1] for row in rows]
    folder = draft / "shards" / name
    folder.mkdir(parents=True, exist_ok=True)
    np.concatenate(ids).astype("<u2").tofile(folder / f"{split}.bin")
    np.save(folder / f"{split}.documents.npy", np.cumsum([0, *map(len, ids)]).astype(np.int64))
    np.save(folder / f"{split}.bytes.npy", np.array([row["num_bytes"] for row in rows], np.int64))
    (folder / f"{split}.ids.txt").write_text("".join(row["id"] + "\n" for row in rows))
    return {"tokens": sum(map(len, ids)), "documents": len(rows), "bytes": sum(row["num_bytes"] for row in rows)}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
