"""A source that is split by topic: nothing is lost, topics and near-duplicates stay together, bytes do not depend on
workers; what cannot be split is refused."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orfevre import artifact, recipe
from orfevre.curate import clusters, stage
from orfevre.data.documents import batches, path_of
from orfevre.data.shards import read_index
from orfevre.errors import InputError
from orfevre.mix import allowed
from orfevre.recipe import Recipe
from orfevre.release.facts import _curated
from orfevre.tokenize import stage as tokenize

COMMON = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "they",
    "at",
    "be",
    "this",
    "have",
    "from",
]
TOPICS = (
    [
        "ore",
        "gold",
        "silver",
        "furnace",
        "assay",
        "crucible",
        "alloy",
        "smelter",
        "ingot",
        "vein",
        "shaft",
        "miner",
        "lode",
        "flux",
        "slag",
        "cupel",
    ],
    [
        "violin",
        "sonata",
        "tempo",
        "choir",
        "chord",
        "melody",
        "opera",
        "quartet",
        "rhythm",
        "cadence",
        "fugue",
        "tenor",
        "harp",
        "viola",
        "score",
        "aria",
    ],
)
NUM_EACH = 40
NOTES = {"target": {"notes": 1.0}}


def text(topic: int, seed: int) -> str:
    rng = random.Random(1000 * topic + seed)
    lines = [" ".join(rng.choices(COMMON, k=8) + rng.choices(TOPICS[topic], k=4)) + "." for _ in range(12)]
    return "\n".join(lines)


def twin(seed: int) -> str:
    """Of the group of (0, seed), yet not so alike that one of them goes."""
    return "\n".join(text(0, seed).split("\n")[:9] + text(1, 900).split("\n")[:4])


def half(part: int, seed: int) -> str:
    """Of one half of the second topic's words."""
    rng = random.Random(10_000 * (part + 1) + seed)
    own = TOPICS[1][8 * part : 8 * part + 8]
    return "\n".join(" ".join(rng.choices(COMMON, k=6) + rng.choices(own, k=6)) + "." for _ in range(12))


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """Two topics in one source, with drops, what is broken, and near-duplicates that stay."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [text(topic, seed) for seed in range(NUM_EACH) for topic in (0, 1)]
    lines = [json.dumps({"text": one, "topic": number % 2}) for number, one in enumerate(texts)]
    lines += [json.dumps({"text": twin(7)}), "broken", json.dumps({"text": "short"}), lines[3]]
    (folder / "web.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "notes.jsonl").write_text("\n".join(json.dumps({"text": text(0, 500 + n)}) for n in range(12)))
    base = {"format": "jsonl", "licence": "CC0-1.0", "language": "en"}
    return {
        "name": "split",
        "sources": [
            {"name": "web", "paths": [str(folder / "web.jsonl")], "domains": 2, **base},
            {"name": "notes", "paths": [str(folder / "notes.jsonl")], **base},
        ],
        "curate": {"shard_bytes": 4000, "validation_fraction": 0.2, "language": {"min_confidence": 1.0}},
        "tokenize": {"vocab_size": 400},
        "mix": {"target": {"web": 0.8, "notes": 0.2}, "max_weights": {"web": 0.7}, "min_weights": {"web_2": 0.1}},
        "train": {"tokens": 4096},
        "runner": {"kind": "inline"},
    }


def curated(asked: Recipe, out: Path) -> Path:
    out.mkdir()
    stage.run(asked, {}, out)
    return out


def documents(out: Path, name: str) -> list[dict[str, Any]]:
    found = batches(path_of(out, name), ("id", "source", "location", "text", "group", "split", "num_bytes"))
    return [row for batch in found for row in batch.to_pylist()]


def topic_of(row: dict[str, Any]) -> int:
    words = set(row["text"].replace(".", "").split())
    return int(len(words & set(TOPICS[1])) > len(words & set(TOPICS[0])))


def test_a_split_source_is_two_sources_and_loses_nothing(table: dict[str, Any], tmp_path: Path) -> None:
    asked = recipe.from_table(table, "here")
    out = curated(asked, tmp_path / "out")
    whole = curated(
        recipe.from_table(table | {"sources": [_whole(table), table["sources"][1]], "mix": NOTES}, "here"),
        tmp_path / "whole",
    )
    stats = json.loads((out / "stats.json").read_text())
    web, parts = stats["sources"]["web"], stats["domains"]
    assert sorted(path.stem for path in (out / "documents").iterdir()) == ["notes", "web_1", "web_2"]
    assert sorted(path.stem for path in (out / "dropped").iterdir()) == ["notes", "web"]

    # conservation: what the parts hold is what the source kept, and the source's read is accounted for
    assert web["read"] == web["kept"] + sum(web["dropped"].values()) + sum(web["broken"].values()) == 2 * NUM_EACH + 4
    assert {"broken_record", "too_short", "exact_duplicate"} <= {*web["dropped"], *web["broken"]}
    assert list(parts) == ["web_1", "web_2"] and sum(part["documents"] for part in parts.values()) == web["kept"]
    for side in ("train", "validation"):
        for count in ("documents", "bytes"):
            assert sum(part[side][count] for part in parts.values()) == web[side][count]
            assert all(part[side][count] for part in parts.values())
    before = {row["id"]: (row["location"], row["text"], row["group"]) for row in documents(whole, "web")}
    rows = {name: documents(out, name) for name in asked.source_names}
    both = [*rows["web_1"], *rows["web_2"]]
    assert {row["id"]: (row["location"], row["text"], row["group"]) for row in both} == before
    assert len(both) == len(before) and all(row["source"] == name for name in rows for row in rows[name])
    assert [row.kept for row in _curated(stats["sources"])] == [web["kept"], stats["sources"]["notes"]["kept"]]

    # topics
    majority = [np.bincount([topic_of(row) for row in rows[name]], minlength=2).max() for name in parts]
    assert sum(majority) / len(both) > 0.95
    for name, part in parts.items():
        topic = TOPICS[topic_of(rows[name][0])]
        assert len(part["words"]) == clusters.NUM_WORDS and len(set(part["words"]) & set(topic)) >= 6

    # near-duplicates that stay are together, and on one side
    groups: dict[str, set[tuple[str, str]]] = {}
    for row in both:
        groups.setdefault(row["group"], set()).add((row["source"], row["split"]))
    assert len(groups) < len(both) and all(len(places) == 1 for places in groups.values())


def _whole(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table["sources"][0].items() if key != "domains"}


def test_later_stages_know_the_parts(table: dict[str, Any], tmp_path: Path) -> None:
    asked = recipe.from_table(table, "here")
    shards = tmp_path / "tokenize"
    shards.mkdir()
    tokenize.run(asked, {"curate": curated(asked, tmp_path / "out")}, shards)
    index = read_index(shards)
    assert sorted(index.sources) == ["notes", "web_1", "web_2"]
    assert all(own.train.tokens and own.validation.tokens for own in index.sources.values())
    limits = allowed.of_recipe(asked, {name: own.train.tokens for name, own in index.sources.items()})
    assert limits.sources == ("web_1", "web_2", "notes")
    assert limits.contains(np.array([0.5, 0.2, 0.3])) and not limits.contains(np.array([0.65, 0.05, 0.3]))
    assert not limits.contains(np.array([0.4, 0.4, 0.2])), "web may have 0.7 in all"


def test_workers_and_shards_change_no_byte(table: dict[str, Any], tmp_path: Path) -> None:
    kept = {}
    for kind, shard_bytes in (("inline", 4000), ("pool", 4000), ("inline", 16_000_000)):
        changed = {"runner": {"kind": kind, "workers": 2}, "curate": table["curate"] | {"shard_bytes": shard_bytes}}
        out = curated(recipe.from_table(table | changed, "here"), tmp_path / f"{kind}-{shard_bytes}")
        kept[kind, shard_bytes] = artifact.outputs(out)
    first, *others = kept.values()
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("texts", "domains", "said"),
    [
        ([text(0, 1), text(1, 2), text(0, 3)], 2, r"sources\.web\.domains = 2: 3 documents are kept, too few"),
        (
            ["\n".join(f"word{n}a{k} other{n}b{k} thing{n}c{k}" for k in range(30)) for n in "vwxyz"],
            2,
            "no word is in two documents and not in most of them; leave it whole",
        ),
        (
            [text(0, 3), twin(3), *(half(part, seed) for part in (0, 1) for seed in range(4))],
            3,
            r"sources\.web\.domains = 3: web_3 came out with 1 document\(s\).*ask for fewer domains",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(
    texts: list[str], domains: int, said: str, table: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text("\n".join(json.dumps({"text": one}) for one in texts), encoding="utf-8")
    source = table["sources"][0] | {"paths": [str(path)], "domains": domains}
    asked = recipe.from_table(table | {"sources": [source, table["sources"][1]]}, "here")
    with pytest.raises(InputError, match=said):
        curated(asked, tmp_path / "out")
