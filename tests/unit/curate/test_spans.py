"""Runs of words that documents share stay in one of them, and texts that share nothing stay as they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.curate import spans, stage
from orfevre.recipe import Recipe

WIDTH = 12
SHARED = [f"shared{n}" for n in range(40)]


def own_words(name: str, count: int) -> list[str]:
    return [f"{name}x{n}" for n in range(count)]


@pytest.fixture
def quoting(tmp_path: Path) -> dict[str, Any]:
    """Source `best` holds the run once; `others` hold it in the middle, at the end, twice, or little else."""
    texts = {
        "best": [own_words("a", 60) + SHARED + own_words("b", 50), own_words("c", 90), own_words("d", 80)],
        "others": [
            own_words("e", 60) + SHARED + own_words("f", 60),
            own_words("g", 70) + SHARED,
            own_words("h", 50) + SHARED + own_words("i", 50) + SHARED + own_words("j", 50),
            own_words("k", 4) + SHARED,
            own_words("l", 99),
            ["again"] * 80 + own_words("m", 60),
        ],
    }
    for name, some in texts.items():
        lines = (json.dumps({"text": ", ".join(words).capitalize() + "."}) + "\n" for words in some)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    base = {"format": "jsonl", "licence": "CC0-1.0", "language": "und"}
    return {
        "name": "quoting",
        "data": str(tmp_path),
        "sources": [{"name": name, "paths": [f"{{data}}/{name}.jsonl"], **base} for name in ("others", "best")],
        "curate": {
            "validation_fraction": 0.3,
            "quality": {"rules": [], "min_chars": 100},
            "dedup": {"span_words": WIDTH, "priority": ["best"]},
        },
        "mix": {"target": {"best": 1.0}},
        "runner": {"kind": "inline"},
    }


def curate(table: dict[str, Any], out: Path) -> dict[str, dict[str, Any]]:
    """Kept and dropped documents by location."""
    out.mkdir()
    stage.run(Recipe.model_validate(table), {}, out)
    rows = [row for path in sorted(out.glob("d*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["location"]: row for row in rows}


def test_a_shared_run_stays_whole_in_the_best_document_only(quoting: dict[str, Any], tmp_path: Path) -> None:
    plain = curate(quoting | {"curate": quoting["curate"] | {"dedup": {}}}, tmp_path / "plain")
    found = curate(quoting, tmp_path / "out")
    run = ", ".join(SHARED)
    assert found.keys() == plain.keys() and all(row.get("reason") is None for row in plain.values())
    for location, row in found.items():
        number = int(location.rpartition("#")[2])
        if "best" in location or number in (5, 6):
            assert row["text"] == plain[location]["text"]
        elif number == 4:
            assert row["reason"] == "repeated_span" and row["text"] == plain[location]["text"]
        else:
            kept, before = row["text"], plain[location]["text"]
            mine = [word for word in before.lower().strip(".").split(", ") if not word.startswith("shared")]
            assert run in before and run not in kept
            assert [word for word in mine if word not in kept.lower()] == []
            left = kept.count("shared")
            assert left <= (2 if number == 3 else 1) * 2 * (spans.WINNOW - 1)
            assert json.loads(row["edits"]) == {"repeated_span": 2 if number == 3 else 1}
            assert row["num_bytes"] == len(kept.encode())


def test_units_and_ranges_change_no_byte(
    quoting: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = curate(quoting, tmp_path / "one")
    monkeypatch.setattr(spans, "RANGE_BYTES", 700)
    quoting["curate"]["shard_bytes"] = 900
    assert curate(quoting, tmp_path / "many") == one


@given(st.lists(st.integers(0, 2**64 - 1), max_size=60))
def test_a_window_is_chosen_in_every_stretch(keys: list[int]) -> None:
    array = np.array(keys, np.uint64)
    chosen = spans.choose(array)
    assert len(chosen) == len(set(chosen.tolist())) and (len(keys) == 0) == (len(chosen) == 0)
    for start in range(max(0, len(keys) - spans.WINNOW + 1)):
        stretch = range(start, start + spans.WINNOW)
        assert min(stretch, key=lambda place: keys[place]) in chosen
