"""Fixtures that every folder of tests shares."""

from pathlib import Path
from typing import Any

import pytest
from tests.places import ROOT

from orfevre import recipe


@pytest.fixture
def data() -> Path:
    """Real development data beside the checkout; tests that want it are skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the development data in ../shared/data")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """The smallest valid recipe as a table: two sources of text in tmp_path."""
    for name in ("prose", "code"):
        (tmp_path / f"{name}.txt").write_text(f"some {name}", encoding="utf-8")
    return {
        "name": "tiny",
        "work": str(tmp_path / "work"),
        "sources": [
            {
                "name": "prose",
                "paths": [str(tmp_path / "prose.txt")],
                "format": "text",
                "licence": "CC0-1.0",
                "language": "en",
            },
            {
                "name": "code",
                "paths": [str(tmp_path / "code.txt")],
                "format": "code",
                "licence": "MIT",
                "language": "python",
            },
        ],
        "mix": {"target": {"prose": 0.7, "code": 0.3}},
    }


@pytest.fixture
def small_recipe(table: dict[str, Any]) -> recipe.Recipe:
    return recipe.from_table(table, "tiny.toml")
