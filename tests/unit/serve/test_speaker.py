"""What ends a text is what any file of the model's folder says ends it."""

import json
import shutil
from pathlib import Path

import pytest

from orfevre.errors import InputError
from orfevre.serve.speaker import Coder
from orfevre.weights.opened import open_weights


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "model"))


def test_ends_are_those_of_both_files_each_once(copied: Path) -> None:
    (own,) = Coder(open_weights(copied)).ends
    (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": [own, 7]}))
    assert Coder(open_weights(copied)).ends == (own, 7)
    (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": 9, "temperature": 1.0}))
    assert Coder(open_weights(copied)).ends == (own, 9)
    (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": None}))
    assert Coder(open_weights(copied)).ends == (own,)


def test_a_damaged_file_is_named(copied: Path) -> None:
    (copied / "generation_config.json").write_text("{")
    with pytest.raises(InputError, match=r"generation_config\.json: not JSON"):
        Coder(open_weights(copied))
