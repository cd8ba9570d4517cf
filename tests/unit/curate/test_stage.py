"""The whole stage on small real files: the contract's columns, conservation, determinism, resuming, refusals."""

import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orfevre import artifact, recipe
from orfevre.curate import sift, stage, write
from orfevre.data.documents import DOCUMENTS, DROPPED, path_of, texts
from orfevre.errors import InputError
from orfevre.recipe import Recipe

WORDS = [
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
    "his",
    "they",
    "at",
]


def prose(seed: int, num_words: int = 120) -> str:
    rng = random.Random(seed)
    return "\n".join(
        " ".join(rng.choices(WORDS, k=10)) + f" number{rng.random()}"[:9] + "." for _ in range(num_words // 10)
    )


@pytest.fixture
def messy(tmp_path: Path) -> dict[str, Any]:
    """A recipe over three sources with every kind of trouble in them."""
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [json.dumps({"text": prose(seed)}) for seed in range(40)]
    lines += [
        json.dumps({"text": prose(3)}),
        json.dumps({"text": prose(4) + " the end"}),
        "broken",
        '{"text": "\\ud800"}',
    ]
    lines += ['{"text": " "}', '{"text": "short"}', "this line the truncation takes"]
    (folder / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode())[:-9])
    for seed in range(30):
        code = "\n".join(f"def f{seed}_{n}(x_{n * seed}): return x_{n} * {seed + n}" for n in range(20))
        (folder / f"m{seed}.py").write_text(code, encoding="utf-8")
        (folder / f"t{seed}.txt").write_text(prose(1000 + seed), encoding="utf-8")
    (folder / "bad.py").write_bytes(b"# \xff\xfe\n" * 99)
    (folder / "minified.py").write_text("x = " + "1+" * 2000 + "1", encoding="utf-8")
    (folder / "t_copy.txt").write_text(prose(7), encoding="utf-8")
    (folder / "t_fr.txt").write_text(" ".join(["voici une phrase en français qui n'est pas en anglais du tout,"] * 9))
    base = {"licence": "CC0-1.0", "language": "en"}
    return {
        "name": "messy",
        "data": str(folder),
        "sources": [
            {"name": "lines", "paths": ["{data}/a.jsonl.gz"], "format": "jsonl", **base},
            {"name": "code", "paths": ["{data}/*.py"], "format": "code", "licence": "MIT", "language": "python"},
            {"name": "files", "paths": ["{data}/t*.txt"], "format": "text", **base},
        ],
        "curate": {"shard_bytes": 3000, "validation_fraction": 0.2},
        "mix": {"target": {"lines": 1.0}},
        "runner": {"kind": "inline"},
    }


def asked(table: dict[str, Any], **changes: Any) -> Recipe:
    return recipe.from_table(table | changes, "messy.toml")


def curated(made: Recipe, out: Path) -> Path:
    out.mkdir(exist_ok=True)
    stage.run(made, {}, out)
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]


def gone(counts: dict[str, Any]) -> int:
    return sum(counts["dropped"].values()) + sum(counts["broken"].values())


def test_columns_reasons_and_conservation(messy: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    tally = stage.run(asked(messy), {}, out)
    stats = json.loads((out / "stats.json").read_text(encoding="utf-8"))["sources"]
    assert stats["lines"]["dropped"] == {"exact_duplicate": 1, "near_duplicate": 1, "no_text": 1, "too_short": 1}
    assert stats["lines"]["broken"] == {"broken_record": 2, "unreadable": 1}
    assert (stats["code"]["dropped"], stats["code"]["broken"]) == ({"long_line": 1}, {"undecodable": 1})
    assert stats["files"]["dropped"] == {"exact_duplicate": 1, "language": 1}
    for name, counts in stats.items():
        documents, dropped = rows(path_of(out, name)), rows(out / "dropped" / f"{name}.parquet")
        assert pq.read_schema(path_of(out, name)).equals(DOCUMENTS)
        assert pq.read_schema(out / "dropped" / f"{name}.parquet").equals(DROPPED)
        assert counts["read"] == counts["kept"] + gone(counts) == len(documents) + len(dropped)
        assert counts["licences"] == {asked(messy).source(name).licence: counts["kept"]}
        for table in (documents, dropped):
            ids = [row["id"] for row in table]
            assert ids == sorted(set(ids)) and all(row["location"].startswith("{data}/") for row in table)
        assert {row["split"] for row in documents} == {"train", "validation"}
        assert counts["train"]["bytes"] + counts["validation"]["bytes"] == counts["kept_bytes"]
        assert all(row["num_bytes"] == len(row["text"].encode()) for row in documents)
        assert len(list(texts(path_of(out, name), "train"))) == counts["train"]["documents"]
    assert tally.counts["read"] == sum(counts["read"] for counts in stats.values())
    assert not (out / ".scratch").exists()


def test_details_say_where_and_why(messy: dict[str, Any], tmp_path: Path) -> None:
    out = curated(asked(messy), tmp_path / "out")
    lines = {row["reason"]: row for row in rows(out / "dropped/lines.parquet")}
    kept = {row["id"]: row for name in ("lines", "code", "files") for row in rows(path_of(out, name))}
    assert lines["unreadable"]["location"] == "{data}/a.jsonl.gz#end"
    assert lines["no_text"]["location"] == "{data}/a.jsonl.gz#45"
    assert kept[lines["exact_duplicate"]["detail"]]["text"] == lines["exact_duplicate"]["text"] == prose(3)
    longer = kept[lines["near_duplicate"]["detail"]]
    assert longer["text"].startswith(prose(4)) and longer["location"].endswith("#42")  # of two, the longest stays
    (copy,) = [row for row in rows(out / "dropped/files.parquet") if row["reason"] == "exact_duplicate"]
    assert kept[copy["detail"]]["source"] == "lines"  # of two sources, the recipe's first


def test_workers_shards_and_ranges_change_no_byte(
    messy: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = artifact.outputs(curated(asked(messy), tmp_path / "inline"))
    pool = artifact.outputs(curated(asked(messy, runner={"kind": "pool", "workers": 2}), tmp_path / "pool"))
    ray = artifact.outputs(curated(asked(messy, runner={"kind": "ray", "workers": 2}), tmp_path / "ray"))
    assert inline == pool == ray and len(inline) == 7
    other = curated(asked(messy, curate=messy["curate"] | {"shard_bytes": 2**20}), tmp_path / "other")
    assert artifact.outputs(other) == inline
    monkeypatch.setattr(write.Task, "__init__", _with_small_ranges(write.Task.__init__))
    ranges = curated(asked(messy), tmp_path / "ranges")
    for name in messy["sources"]:
        assert rows(path_of(ranges, name["name"])) == rows(path_of(other, name["name"]))


def _with_small_ranges(make: Any) -> Any:
    return lambda self, *args: make(self, *args, range_bytes=1500)


def test_resuming_gives_the_same_bytes_and_skips_what_was_done(
    messy: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = artifact.outputs(curated(asked(messy), tmp_path / "whole"))
    out = tmp_path / "out"
    for point in (1, 4, 9):  # killed in the middle of a unit, three times over
        with pytest.raises(KeyboardInterrupt):
            _killed(asked(messy), out, point, monkeypatch)
    done = sorted(path.name for path in out.glob(".scratch/*/unit-*") if not path.name.endswith(".aside"))
    assert len(done) == 11
    seen: list[str] = []
    monkeypatch.setattr(stage, "sift", lambda unit: (seen.append(unit.folder.name), sift.sift(unit))[1])
    assert artifact.outputs(curated(asked(messy), out)) == whole
    assert seen and not set(seen) & set(done)


def _killed(made: Recipe, out: Path, point: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def failing(unit: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == point:
            half = unit.folder.with_name(unit.folder.name + ".aside")
            half.mkdir()
            (half / "part-000000.parquet").write_bytes(b"half")
            raise KeyboardInterrupt
        sift.sift(unit)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "sift", failing)
        curated(made, out)


def test_scratch_of_another_version_is_not_built_upon(messy: dict[str, Any], tmp_path: Path) -> None:
    foreign = tmp_path / "out/.scratch/0123456789ab/unit-000000"
    foreign.mkdir(parents=True)
    whole = artifact.outputs(curated(asked(messy), tmp_path / "whole"))
    assert artifact.outputs(curated(asked(messy), tmp_path / "out")) == whole


def test_an_empty_source_is_an_error_that_counts_the_reasons(messy: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(messy["data"])
    for path in folder.glob("t*.txt"):
        path.write_text("short" if path.name < "t2" else "")
    (tmp_path / "out").mkdir()
    with pytest.raises(
        InputError, match=r"sources\.files: no document is left \(\d+ no_text, \d+ too_short\); look at"
    ):
        stage.run(asked(messy), {}, tmp_path / "out")
    assert (tmp_path / "out/dropped/files.parquet").exists()


def test_a_source_without_records_is_an_error(messy: dict[str, Any], tmp_path: Path) -> None:
    messy["sources"][1]["format"] = "docstrings"
    for path in Path(messy["data"]).glob("*.py"):
        path.write_text("x = 1\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="its files hold no records"):
        stage.run(asked(messy), {}, tmp_path / "out")


def test_development_data_is_conserved(data: Path, tmp_path: Path) -> None:
    names = ["messy/broken_lines.jsonl.gz", "text/instructions_en.jsonl.zst", "text/techdocs_en.jsonl.zst"]
    sources = [
        {"name": f"s{place}", "paths": [f"{{data}}/{name}"], "format": "jsonl", "licence": "various", "language": "en"}
        for place, name in enumerate(names)
    ]
    table = {"name": "real", "data": str(data), "sources": sources, "mix": {"target": {"s0": 1.0}}}
    out = curated(recipe.from_table(table | {"runner": {"kind": "inline"}}, "real.toml"), tmp_path / "out")
    stats = json.loads((out / "stats.json").read_text(encoding="utf-8"))["sources"]
    assert [stats[f"s{place}"]["read"] for place in range(3)] == [1200, 1000, 592]
    dropped = stats["s0"]["dropped"]
    assert stats["s0"]["broken"]["broken_record"] == 143 + 18  # of the 21 ways, 9 unreadable ones and lone surrogates
    assert dropped["no_text"] == 16
    assert dropped["exact_duplicate"] == 19  # 21 records are copies, two of them of texts that are too short
    shutil.rmtree(out)
