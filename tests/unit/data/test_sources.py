"""Which files a source names, and what is said when it names none."""

from pathlib import Path
from typing import Any

import pytest

from orfevre import recipe
from orfevre.data import sources
from orfevre.errors import InputError, RecipeError
from orfevre.recipe import Recipe


def with_paths(table: dict[str, Any], paths: list[str], **changes: Any) -> Recipe:
    table["sources"][0] |= {"paths": paths, **changes}
    return recipe.from_table(table, "tiny.toml")


def locations(made: Recipe) -> list[str]:
    return [file.location for file in sources.resolve(made, made.sources[0])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "sub/e.md"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 10, encoding="utf-8")
    return tmp_path / "in"


def test_globs_are_expanded_once_and_sorted(table: dict[str, Any], folder: Path) -> None:
    made = with_paths(table, [f"{folder}/**/*.txt", f"{folder}/a.txt"])
    assert locations(made) == [f"{folder}/{name}" for name in ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt")]


def test_exclude(table: dict[str, Any], folder: Path) -> None:
    made = with_paths(table, [f"{folder}/**/*.txt"], exclude=["*/deep/*", "*/a.txt"])
    assert locations(made) == [f"{folder}/b.txt", f"{folder}/sub/c.txt"]
    with pytest.raises(InputError, match="exclude"):
        locations(with_paths(table, [f"{folder}/*.txt"], exclude=["*"]))


def test_placeholder_stays_in_the_location(table: dict[str, Any], folder: Path) -> None:
    table["data"] = str(folder)
    assert locations(with_paths(table, ["{data}/a.txt"])) == ["{data}/a.txt"]


def test_placeholders_of_python(table: dict[str, Any]) -> None:
    assert locations(with_paths(table, ["{stdlib}/argparse.py"])) == ["{stdlib}/argparse.py"]
    assert "{site_packages}/numpy/__init__.py" in locations(with_paths(table, ["{site_packages}/numpy/*.py"]))


@pytest.mark.parametrize(("path", "words"), [("{nowhere}/x", "unknown placeholder"), ("{data}/x", "--set data=")])
def test_placeholder_without_a_value(table: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        locations(with_paths(table, [path]))


def test_no_match_names_recipe_path_and_pattern(table: dict[str, Any], folder: Path) -> None:
    with pytest.raises(InputError, match=r"sources\.prose\.paths\[1\] = .*\*\.xyz"):
        locations(with_paths(table, [f"{folder}/*.txt", f"{folder}/*.xyz"]))


def test_max_bytes_takes_a_stable_part(table: dict[str, Any], folder: Path) -> None:
    chosen = locations(with_paths(table, [f"{folder}/**/*.txt"], max_bytes=60))
    assert 1 <= len(chosen) < 4
    assert chosen == locations(with_paths(table, [f"{folder}/**/*.txt"], max_bytes=60))


def test_url_reads_like_a_file(table: dict[str, Any], folder: Path) -> None:
    made = with_paths(table, [f"file://{folder}/sub/*.txt"])
    (file,) = sources.resolve(made, made.sources[0])
    with sources.open_file(file.path) as opened:
        assert opened.read() == b"sub/c.txt" * 10
    assert file.num_bytes == 90


@pytest.mark.parametrize("url", ["file:///nowhere/at/all.txt", "nosuchscheme://x/y", "memory://empty/*.txt"])
def test_url_without_a_file(table: dict[str, Any], url: str) -> None:
    with pytest.raises(InputError, match=r"sources\.prose\.paths\[0\]"):
        locations(with_paths(table, [url]))


def test_digest_sees_size_time_and_name(table: dict[str, Any], folder: Path) -> None:
    made = with_paths(table, [f"{folder}/*.txt"])
    before = sources.digest(sources.resolve(made, made.sources[0]))
    assert before == sources.digest(sources.resolve(made, made.sources[0]))
    (folder / "a.txt").write_text("longer than it was, by far" * 10, encoding="utf-8")
    assert before != sources.digest(sources.resolve(made, made.sources[0]))
