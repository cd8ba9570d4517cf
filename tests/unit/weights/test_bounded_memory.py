"""Converting holds blocks, not models: peak memory is asserted in a child process, on sparse files of zeros."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from orfevre.recipe import Model
from orfevre.weights import configs, formats, huggingface, published
from orfevre.weights.opened import open_weights

CHILD = r"""
import pathlib, re, sys
import gguf, tokenizers, torch
from orfevre.weights.convert import convert
def peak():  # getrusage's would be that of the process that started this one
    return re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]
before = peak()
convert(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
print(before, peak())
"""


def sparse(folder: Path, config: Model) -> int:
    """A Hugging Face folder of zeros in bfloat16 that takes no room on the disk; its size in bytes."""
    layout = formats.hugging_face(config, config.vocab_size)
    table, end = {}, 0
    for name, shape in layout.shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        table[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(table).encode()
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    published.write_json(folder / "config.json", huggingface.write(config, config.vocab_size, {}, "bfloat16"))
    return end


def peak_mib(source: Path, target: Path, to: str) -> tuple[float, float]:
    """Peak resident memory of a process before it converts, and when it has."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(source), str(target), to]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    before, after = (int(kib) / 1024 for kib in done.stdout.split("\n")[-2].split())
    return before, after


@pytest.mark.parametrize(("to", "name"), [("mistral", "out"), ("gguf", "out.gguf")])
def test_a_conversion_takes_a_small_part_of_the_model(tmp_path: Path, to: str, name: str):
    pytest.importorskip("gguf", reason="writing GGUF needs the gguf package")
    shape = {"hidden_size": 512, "num_layers": 8, "num_heads": 8, "num_kv_heads": 2, "ffn_size": 1792}
    size = sparse(tmp_path / "source", Model.model_validate(shape | {"vocab_size": 8000}))
    before, after = peak_mib(tmp_path / "source", tmp_path / name, to)
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) - size
    shutil.rmtree(tmp_path)
    assert size > 340 * 2**20 and written > 0.99 * size
    assert after - before < size / 2**20 / 3  # a fixed part: two blocks of 32 MB, and what torch allocates at first use


@pytest.mark.slow
@pytest.mark.parametrize(("to", "name"), [("mistral", "out"), ("gguf", "out.gguf")])
def test_two_layers_of_8x22b_convert_in_little_memory(tmp_path: Path, to: str, name: str):
    """A block is bounded by one expert's matrix, whatever the number of layers: 141 billion weights take no more."""
    config = configs.named("mixtral-8x22b").model_copy(update={"num_layers": 2})
    if shutil.disk_usage(tmp_path).free < 30 * 10**9:
        pytest.skip("needs 30 GB of disk")
    size = sparse(tmp_path / "source", config)
    _, after = peak_mib(tmp_path / "source", tmp_path / name, to)
    shutil.rmtree(tmp_path)
    assert size > 10 * 10**9
    assert after < 1500  # 350 of them are Python and torch


def test_a_tensor_is_mapped_not_read(tmp_path: Path):
    """Opening and looking at a few rows of 93 GB of weights touches a few pages."""
    config = configs.named("mixtral-8x7b")
    size = sparse(tmp_path / "source", config)
    assert size == 2 * 46_702_792_704
    opened = open_weights(tmp_path / "source")
    embedding = opened.tensor("embedding.weight")
    assert embedding.shape == (32_000, 4096) and embedding.dtype == torch.bfloat16
    assert not embedding[17].any()
    w13, w2 = opened.expert(31, 7)
    assert w13.shape == (2 * 14_336, 4096) and w2.shape == (4096, 14_336)
