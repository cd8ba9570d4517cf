"""What is forgotten is gone from the next run, with its text, and what was made from it is named."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orfevre import artifact, cli, pipeline
from orfevre.data import forgotten
from orfevre.recipe import Recipe, load

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run

SENTENCE = "the of and to in is that it was for on are as with his they at this have from by hot but some what"


def prose(seed: int) -> str:
    rng = random.Random(seed)
    return "\n".join(" ".join(rng.choices(SENTENCE.split(), k=10)) + f" {rng.randrange(10**6)}." for _ in range(12))


RECIPE = """
name = "small"
work = "{folder}/work"
runner = {{ kind = "inline" }}

[[sources]]
name = "prose"
paths = ["{folder}/*.txt"]
format = "text"
licence = "CC0-1.0"
language = "en"

[mix]
target = {{ prose = 1.0 }}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for seed in range(12):
        (tmp_path / f"{seed:02d}.txt").write_text(prose(seed), encoding="utf-8")
    (tmp_path / "twin.txt").write_text(prose(3), encoding="utf-8")
    recipe = tmp_path / "small.toml"
    recipe.write_text(RECIPE.format(folder=tmp_path), encoding="utf-8")
    return recipe


def table(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "curate" / kind / "prose.parquet").to_pylist()
    return rows


def curate(path: Path) -> tuple[Recipe, Path]:
    recipe = load(path)
    pipeline.run_one(recipe, "curate")
    return recipe, pipeline.run_folder(recipe)


def test_the_round_trip(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, folder = curate(path)
    row = next(row for row in table(folder, "documents") if row["location"].endswith("05.txt"))
    capsys.readouterr()
    assert cli.main(["forget", str(path), "--id", row["id"], "--reason", "asked", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kept"] == {"prose": 1} and said["rebuild"] == ["curate"]
    stale = pipeline.inspect(recipe, pipeline.BY_NAME["curate"])
    assert "forgotten.jsonl" in stale.why
    curate(path)
    assert pipeline.inspect(recipe, pipeline.BY_NAME["curate"]).fresh
    assert row["id"] not in {kept["id"] for kept in table(folder, "documents")}
    [gone] = [each for each in table(folder, "dropped") if each["id"] == row["id"]]
    assert (gone["reason"], gone["detail"], gone["text"] or "") == ("forgotten", f"id {row['id']}", "")
    stats = json.loads((folder / "curate" / "stats.json").read_text())["sources"]["prose"]
    assert stats["dropped"]["forgotten"] == 1
    assert stats["read"] == stats["kept"] + sum(stats["dropped"].values()) + sum(stats["broken"].values())


def test_doing_it_again_changes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = curate(path)
    identity = table(folder, "documents")[0]["id"]
    for _ in range(2):
        assert cli.main(["forget", str(path), "--id", identity]) == 0
    assert len((folder / forgotten.FILE).read_text().splitlines()) == 1
    assert "stood there already" in capsys.readouterr().err


def test_a_twin_of_the_forgotten_text_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = curate(path)
    [twin] = [row for row in table(folder, "dropped") if row["reason"] == "exact_duplicate"]
    capsys.readouterr()
    assert cli.main(["forget", str(folder), "--id", twin["detail"]]) == 0
    said = capsys.readouterr().out
    assert "say the same and are not covered" in said and twin["id"] in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--id", "0" * 16], "no document"), (["--id", "12"], "16 hexadecimal"), (["--url", "page"], "scheme"),
        (["--domain", ""], "host"),
    ],
)  # fmt: skip
def test_mistakes_are_said_and_nothing_is_written(
    arguments: list[str], says: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = curate(path)
    assert cli.main(["forget", str(path), *arguments]) == 2
    assert says in capsys.readouterr().err
    assert not (folder / forgotten.FILE).exists()


def test_a_source_that_would_be_empty_is_said(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = curate(path)
    ids = [row["id"] for row in table(folder, "documents")]
    capsys.readouterr()
    assert cli.main(["forget", str(path), *(part for identity in ids[1:] for part in ("--id", identity))]) == 0
    assert "no other document" not in capsys.readouterr().out
    assert cli.main(["forget", str(path), "--id", ids[0]]) == 0
    capsys.readouterr()
    assert cli.main(["forget", str(path)]) == 0
    assert "source prose has no other document" in capsys.readouterr().out


def test_rules_before_the_first_run_hold(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["forget", str(path), "--domain", "example.org"]) == 0
    assert "has not finished here" in capsys.readouterr().err
    recipe, folder = curate(path)
    assert forgotten.FILE in artifact.require(folder / "curate").inputs
    assert pipeline.inspect(recipe, pipeline.BY_NAME["curate"]).fresh


def test_a_run_under_way_is_not_disturbed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = curate(path)
    with artifact.lock(folder):
        assert cli.main(["forget", str(path), "--domain", "example.org"]) == 2
    assert "another orfevre is at work" in capsys.readouterr().err
    assert not (folder / forgotten.FILE).exists()


def test_shards_checkpoints_and_the_release_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = synthetic_run.make(tmp_path, documents=12)
    documents = pq.read_table(folder / "curate" / "documents" / "prose.parquet").to_pylist()
    trained = next(row for row in documents if row["split"] == "train")
    held = next(row for row in documents if row["split"] == "validation")
    assert cli.main(["forget", str(folder), "--id", trained["id"], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said["shards"]) == [str(folder / "tokenize" / "shards" / "prose" / "train.bin")]
    assert said["read_in_training"]["prose"] > 0 and len(said["checkpoints"]) == 1
    assert said["release"]["magnet"].startswith("magnet:")
    assert said["rebuild"] == list(synthetic_run.STAGES)
    assert cli.main(["forget", str(folder), "--id", trained["id"]]) == 0
    assert "cannot be called back" in capsys.readouterr().out
    assert cli.main(["forget", str(folder), "--id", held["id"], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["read_in_training"] == {} and said["checkpoints"] == [] and said["release"] is None
    assert cli.main(["forget", str(folder), "--json"]) == 0
    assert {row["id"] for row in json.loads(capsys.readouterr().out)["documents"]} == {trained["id"], held["id"]}
