"""Documentation is tested: its commands parse, its links lead somewhere, its French twin keeps up."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from tests.places import ROOT

from orfevre import cli
from orfevre.recipe import Recipe

READMES = [ROOT / "README.md", ROOT / "README.fr.md"]
PAGES = [*READMES, *sorted((ROOT / "docs").rglob("*.md"))]
VERBS = set(next(action for action in cli._parser()._actions if action.dest == "verb").choices or ())


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks(path, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def every_command() -> list[tuple[str, str]]:
    return [(path.relative_to(ROOT).as_posix(), command) for path in PAGES for command in commands(path)]


@pytest.mark.parametrize(("page", "command"), every_command())
def test_commands_are_ones_that_exist(page: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "orfevre":
        options = cli._parser().parse_args(arguments)
        recipe = getattr(options, "recipe", None) or getattr(options, "run", None)
        if recipe and "mine" not in recipe:
            assert (ROOT / recipe).exists(), f"{page}: {recipe} is not there"
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert program in {"cp", "git", "cd", "pip", "python"}, f"{page}: {command}"


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_verb_is_documented(path: Path) -> None:
    shown = {shlex.split(command)[1] for command in commands(path) if command.startswith("orfevre ")}
    text = path.read_text(encoding="utf-8")
    assert {verb for verb in VERBS if verb not in shown and f"`{verb}`" not in text} == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_the_french_twin_keeps_up() -> None:
    english, french = READMES
    assert commands(english) and commands(english) == commands(french)
    for pattern in (r"^#+ ", r"^\|", r"^- ", r"^```", r"^!\["):
        counts = [len(re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)) for path in READMES]
        assert counts[0] == counts[1], f"{pattern}: {counts}"
    assert figures(english) == figures(french)


def figures(path: Path) -> list[str]:
    """Numbers of the tables. English writes 21,177 and 2.43, French 21\u202f177 and 2,43."""
    rows = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))
    rows = rows.replace("\u202f", "").replace(",", ".") if path.name.endswith(".fr.md") else rows.replace(",", "")
    return re.findall(r"\d+(?:\.\d+)?", rows)


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "guides").glob("*.md")), ids=lambda path: path.name)
def test_recipe_fragments_of_the_guides_are_valid(path: Path) -> None:
    for block in blocks(path, "toml"):
        text = block if block.lstrip().startswith("[") else f"[mix]\n{block}"
        table = tomllib.loads(text)
        for key, value in table.items():
            section = Recipe.model_fields[key]
            entries = value if isinstance(value, list) else [value]
            names = _fields(section.annotation)
            assert all(set(entry) <= names for entry in entries), f"{path.name}: {block}"


def _fields(annotation: object) -> set[str]:
    inner = [annotation, *getattr(annotation, "__args__", ())]
    return {name for part in inner for name in getattr(part, "model_fields", {})}


def test_every_dependency_has_its_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    pages = " ".join(path.read_text(encoding="utf-8").lower() for path in (ROOT / "docs" / "decisions").glob("*.md"))
    names = [re.split(r"[><=\[;]", name)[0].lower() for name in wanted]
    assert [name for name in names if name not in pages] == []


def test_no_registry_is_named() -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian|download\.pytorch")
    ignored = {".git", ".venv", "work", "build"}
    named = [
        path
        for path in ROOT.rglob("*")
        if path.suffix in {".py", ".md", ".toml", ".txt", ".yaml", ".jinja"}
        and not ignored & set(path.relative_to(ROOT).parts)
        and path != Path(__file__)
        and hosts.search(path.read_text(encoding="utf-8"))
    ]
    assert named == []
