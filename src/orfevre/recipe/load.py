"""Reads a recipe file and its `--set` overrides; turns every mistake into a message for people."""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from orfevre.errors import RecipeError

from .objective import Objective
from .recipe import Recipe


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe at `path`, apply `a.b=value` overrides in order, validate.

    Raises RecipeError naming the file, the key's full path, the value and the remedy.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; the quickstart's is recipes/quickstart.toml") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a recipe ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        _apply(table, override)
    return from_table(table, str(path))


def from_table(table: Mapping[str, Any], origin: str) -> Recipe:
    """Validate a parsed recipe. `origin` is the file named in messages. Raises RecipeError."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        lines = [f"{origin}: {_explain(problem, table)}" for problem in error.errors()]
        raise RecipeError("\n".join(lines)) from None


def load_objective(path: Path) -> Objective:
    """Read an objective of `orfevre fit`. Raises RecipeError naming the file, the key and the remedy."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Objective.model_validate(table)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as an objective ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise RecipeError("\n".join(f"{path}: {_explain(problem, table)}" for problem in error.errors())) from None


def from_json(path: Path) -> Recipe:
    """The resolved recipe that every artefact keeps as recipe.json."""
    return from_table(json.loads(path.read_text(encoding="utf-8")), str(path))


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override}: write it as key.path=value, for instance --set train.tokens=2_000_000")
    *parents, last = key.strip().split(".")
    place: Any = table
    for part in parents:
        place = _descend(place, part, override)
    if not isinstance(place, dict):
        raise RecipeError(f"--set {override}: {'.'.join(parents)} is not a table")
    place[last] = _value(text.strip())


def _descend(place: Any, part: str, override: str) -> Any:
    if isinstance(place, list):  # an array of tables such as sources is addressed by name
        named = [entry for entry in place if isinstance(entry, dict) and entry.get("name") == part]
        if not named:
            names = ", ".join(str(entry.get("name")) for entry in place if isinstance(entry, dict))
            raise RecipeError(f"--set {override}: no entry is named {part!r}; there are {names}")
        return named[0]
    if not isinstance(place, dict):
        raise RecipeError(f"--set {override}: {part!r} lies under a value that is not a table")
    return place.setdefault(part, {})


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(problem: Any, table: Mapping[str, Any]) -> str:
    location = tuple(problem["loc"])
    path = _dotted(location, table)
    if problem["type"] == "extra_forbidden":
        return f"{path}: no such key{_nearest(location)}"
    if problem["type"] == "missing":
        return f"{path}: this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem.get("input")
    if isinstance(value, str | int | float | bool):
        return f"{path} = {value!r}: {message[0].lower()}{message[1:]}"
    return f"{path}: {message}" if path else message


def _dotted(location: Sequence[int | str], table: Mapping[str, Any]) -> str:
    """`sources[2]` reads better with its name: sources[2] (readmes).paths."""
    path, place = "", table
    for part in location:
        try:
            place = place[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            place = {}
        if isinstance(part, int):
            name = place.get("name") if isinstance(place, dict) else None
            path += f"[{part}]" + (f" ({name})" if name else "")
        else:
            path += f".{part}" if path else part
    return path


def _nearest(location: Sequence[int | str]) -> str:
    names = _keys_at(Recipe, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; the keys here are {', '.join(names)}" if names else ""


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _section_in(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _section_in(arg))), None)
