"""From a document's id, or words of it, to where it came from and where it went."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from orfevre import cli
from orfevre.errors import InputError
from orfevre.kernels import overlap
from orfevre.provenance import passage, runs, trace

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_run.make(tmp_path_factory.mktemp("run"), documents=12)


def rows(folder: Path, kind: str, source: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "curate" / kind / f"{source}.parquet").to_pylist()
    return found


def traced(folder: Path, what: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert cli.main(["trace", str(folder), what, "--json"]) == 0
    documents: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["documents"]
    return documents


def test_an_id_leads_to_source_shard_training_and_release(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows(folder, "documents", "prose") if row["split"] == "train")
    [facts] = traced(folder, row["id"], capsys)
    assert {key: facts[key] for key in ("source", "location", "licence", "sha256", "split", "acquired")} == {
        key: row[key] for key in ("source", "location", "licence", "sha256", "split", "acquired")
    }
    [place] = facts["shards"]
    tokens = np.fromfile(folder / "tokenize" / "shards" / "prose" / "train.bin", "<u2")
    own = tokens[place["first"] : place["first"] + place["tokens"]]
    tokenizer = pytest.importorskip("tokenizers").Tokenizer.from_file(str(folder / "tokenize" / "tokenizer.json"))
    assert tokenizer.decode(own.tolist(), skip_special_tokens=True) == row["text"]
    summary = json.loads((folder / "train" / "summary.json").read_text())
    assert facts["training"] == {"steps": summary["steps"], "epochs": summary["epochs"]["prose"]}
    assert facts["release"]["magnet"] == (folder / "release" / "magnet.txt").read_text().strip()


def test_held_out_text_was_not_trained_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows(folder, "documents", "prose") if row["split"] == "validation")
    [facts] = traced(folder, row["id"], capsys)
    assert facts["shards"][0]["split"] == "validation"
    assert facts["training"] is None and facts["release"] is None


def test_a_dropped_document_says_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = rows(folder, "dropped", "web")[0]
    [facts] = traced(folder, row["id"].upper(), capsys)
    assert (facts["state"], facts["reason"], facts["detail"]) == ("dropped", row["reason"], row["detail"])
    assert facts["licence"] == "CC-BY-4.0" and facts["shards"] == []


def test_a_passage_finds_its_document_however_it_is_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = rows(folder, "documents", "docs")[3]
    words = row["text"].split()[4:20]
    [facts] = traced(folder, ", ".join(words).upper(), capsys)
    assert facts["id"] == row["id"] and facts["share"] == 1.0
    assert words[0] in facts["excerpt"]


def test_a_passage_that_is_partly_there_finds_the_closest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = rows(folder, "documents", "docs")[5]
    [facts] = traced(folder, " ".join(row["text"].split()[3:15]) + " and words from elsewhere", capsys)
    assert facts["id"] == row["id"] and 0 < facts["share"] < 1


def test_a_passage_is_found_in_drops_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows(folder, "dropped", "web") if row["text"])
    [facts] = traced(folder, row["text"], capsys)
    assert facts["id"] == row["id"] and facts["state"] == "dropped"


def test_the_twin_finds_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.find(str(folder))
    text = " ".join(rows(folder, "documents", "docs")[3]["text"].split()[4:20])
    found = passage.search(run, text)
    monkeypatch.setattr(overlap, "_library", lambda: None)
    assert passage.search(run, text) == found and found


def test_a_word_is_enough(folder: Path) -> None:
    run = runs.find(str(folder))
    holding = [
        row["id"] for name in run.recipe.source_names for kind in ("documents", "dropped")
        for row in rows(folder, kind, name) if row["text"] and "hammered" in row["text"].split()
    ]  # fmt: skip
    assert sorted(held.id for held in passage.search(run, "hammered")) == sorted(holding)


def test_the_table_reads_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in rows(folder, "documents", "prose") if row["split"] == "train")
    assert cli.main(["trace", str(folder), row["id"]]) == 0
    said = capsys.readouterr().out
    for words in (f"{row['id']}: kept", row["location"], "prose/train.bin, document", "times in", "magnet:"):
        assert words in said


@pytest.mark.parametrize(
    ("what", "says"),
    [("0" * 16, "no document"), ("zebra crossings without number", "shares 8 words"), ("… !", "no words")],
)
def test_what_is_not_there_is_said(what: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", str(folder), what]) == 2
    assert says in capsys.readouterr().err


def test_a_run_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", str(tmp_path), "0" * 16]) == 2
    assert "neither a recipe" in capsys.readouterr().err
    with pytest.raises(InputError):
        runs.find(str(tmp_path / "gone"))


def test_excerpts_begin_where_the_passage_does() -> None:
    text = "x " * 500 + "The quick, brown\nfox jumps over it." + " y" * 500
    assert "quick, brown fox jumps" in trace.excerpt(text, "the QUICK brown fox jumps over")
    assert trace.excerpt("short", "") == "short"
