"""One model in three layouts is one model; a model larger than what it may hold at once is compared all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.inspect.conftest import TEXT, save
from tests.unit.weights.test_bounded_memory import sparse

from orfevre.data.tokenizer import Tokenizer
from orfevre.inspect import difference, look
from orfevre.model.transformer import Transformer
from orfevre.recipe import Model
from orfevre.weights.convert import convert


@pytest.mark.parametrize("to", ["hf", "mistral"])
def test_a_converted_model_has_no_difference(model: Transformer, coder: Tokenizer, tmp_path: Path, to: str) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    a = save(tmp_path / "a", model, coder)
    convert(a, tmp_path / "b", to)
    table = difference.compare(a, tmp_path / "b", str(tmp_path / "text.txt"))
    assert table["same"]
    assert {row["relative"] for row in table["tensors"]} == {0.0}
    assert not any(layer["permuted"] for layer in table["layers"])
    assert {row["overlap"] for row in table["text"]["layers"]} == {1.0}
    one, other = (look.look(folder, None) for folder in (a, tmp_path / "b"))
    kinds = {"hf": "Hugging Face folder", "mistral": "Mistral folder"}
    assert (one["model"]["kind"], other["model"]["kind"]) == ("orfevre release", kinds[to])
    assert one["parameters"]["parts"] == other["parameters"]["parts"]


CHILD = r"""
import pathlib, re, sys
import scipy.optimize, torch
from orfevre.inspect import difference
def peak():  # getrusage's would be that of the process that started this one
    return re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]
before = peak()
table = difference.compare(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1]), None)
assert table["same"] and table["findings"]["a"]
print(before, peak())
"""


def test_comparing_takes_a_small_part_of_the_models(tmp_path: Path) -> None:
    shape = {"hidden_size": 512, "num_layers": 8, "num_heads": 8, "num_kv_heads": 2, "ffn_size": 1792}
    size = sparse(tmp_path / "zeros", Model.model_validate(shape | {"vocab_size": 8000})) / 2**20
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "zeros")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    before, after = (int(kib) / 1024 for kib in done.stdout.split())
    assert after - before < 0.45 * size, f"{after - before:.0f} MiB for two models of {size:.0f} MiB"
