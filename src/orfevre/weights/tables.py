"""What a model's JSON files say, with every complaint naming the file and the key."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orfevre import recipe
from orfevre.errors import InputError


class Table:
    """One JSON object of a file."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path, self.values = path, values

    def get(self, key: str, default: Any = None) -> Any:
        """The value; a null counts as absent."""
        value = self.values.get(key)
        return default if value is None else value

    def number(self, key: str, default: float | None = None) -> Any:
        """A number that must be there unless `default` is given. Raises InputError."""
        value = self.get(key, default)
        if value is None:
            raise InputError(f"{self.path}: {key} is missing; take the file from the model's own release")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{self.path}: {key} is {value!r}, not a number; take the file from the model's release")
        return value


def read(path: Path) -> Table:
    """A file that must hold a JSON object. Raises InputError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); the model's folder must have it") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); fetch it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: not a JSON object; fetch it again")
    return Table(path, values)


def shape(path: Path, values: Mapping[str, Any]) -> recipe.Model:
    """The values as a model's shape. Raises InputError saying which figure is wrong."""
    try:
        return recipe.Model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{path}: not the shape of a model: {what}. Take the file from the model's own release"
        ) from None
