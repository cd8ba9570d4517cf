"""The step that forgets: what a rule reaches goes with its text, and nothing else does."""

from pathlib import Path

from orfevre.curate import forgotten as curate_forgotten
from orfevre.curate.draft import Draft
from orfevre.curate.units import Unit
from orfevre.data import forgotten
from orfevre.data.documents import identity
from orfevre.data.readers.record import Facts
from orfevre.recipe import Recipe


def unit_of(recipe: Recipe, folder: Path) -> Unit:
    return Unit(recipe.sources[0], (), recipe.curate, folder / "unit", folder / "prepared")


def draft(location: str, **facts: str) -> Draft:
    return Draft(location, "a text", Facts(**facts), False, "en")  # type: ignore[arg-type]


def test_without_rules_there_is_no_step(small_recipe: Recipe, tmp_path: Path) -> None:
    curate_forgotten.prepare(small_recipe, tmp_path / "prepared")
    assert curate_forgotten.step(unit_of(small_recipe, tmp_path)) is None


def test_addresses_of_every_kind_are_reached(small_recipe: Recipe, tmp_path: Path) -> None:
    rules = [
        forgotten.rule("url", "https://example.org/a"), forgotten.rule("domain", "example.net"),
        forgotten.rule("id", identity(small_recipe.sources[0].name, "file.txt#3")),
    ]  # fmt: skip
    forgotten.append(Path(small_recipe.work) / small_recipe.name, rules)
    for _ in range(2):  # preparing again changes nothing
        curate_forgotten.prepare(small_recipe, tmp_path / "prepared")
    step = curate_forgotten.step(unit_of(small_recipe, tmp_path))
    assert step is not None
    gone = [
        draft("x#1", url="https://EXAMPLE.org/a#top"), draft("x#2", canonical_url="https://example.org/a"),
        draft("x#4", url="http://www.example.net/any"), draft("https://example.net/data.jsonl#7"), draft("file.txt#3"),
    ]  # fmt: skip
    stay = [
        draft("x#5", url="https://example.org/b"), draft("file.txt#4"), draft("x#6", title="https://example.org/a"),
        draft("x#7", url="http://["), draft("example.net"),
    ]  # fmt: skip
    step([*gone, *stay])
    assert [each.drop.detail if each.drop else "" for each in gone] == [
        "url https://example.org/a", "url https://example.org/a", "domain example.net", "domain example.net",
        f"id {identity(small_recipe.sources[0].name, 'file.txt#3')}",
    ]  # fmt: skip
    assert {each.text for each in gone} == {""} and {each.encoded for each in gone} == {b""}
    assert all(each.drop is None and each.text == "a text" for each in stay)
