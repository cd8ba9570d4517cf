"""`orfevre check` reads the evaluation sets of a recipe, so that a wrong field is known before hours of reading."""

from pathlib import Path
from typing import Any

import pytest

from orfevre import check
from orfevre.errors import InputError
from orfevre.recipe import from_table


def test_evaluation_sets_are_listed_and_their_fields_checked(
    table: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "quiz.jsonl").write_text('{"question": "one"}\n{"question": "two"}\n', encoding="utf-8")
    (tmp_path / "prose.txt").write_text("word " * 400_000, encoding="utf-8")
    quiz = {"name": "quiz", "paths": [str(tmp_path / "*.jsonl")], "format": "jsonl", "fields": ["question"]}
    check.check(from_table(table | {"tasks": [quiz]}, "tiny.toml"))
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("quiz"))
    assert line.split()[:4] == ["quiz", "1", "2", "question"]
    with pytest.raises(InputError, match="no text in answer"):
        check.check(from_table(table | {"tasks": [quiz | {"fields": ["answer"]}]}, "tiny.toml"))
