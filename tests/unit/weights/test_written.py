"""What is streamed out is what the library and transformers read; shards hold every tensor once, within the limit."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from orfevre.weights import written
from orfevre.weights.written import Planned


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=20), limit=st.integers(1, 200))
def test_split_keeps_order_and_limit(sizes: list[int], limit: int):
    planned = written.in_memory({f"t{index}": torch.zeros(size) for index, size in enumerate(sizes)}, torch.float32)
    shards = written.split(planned, limit)
    assert [tensor for shard in shards for tensor in shard] == planned
    for shard in shards:
        assert shard and (len(shard) == 1 or sum(tensor.num_bytes for tensor in shard) <= limit)


dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])


@given(tensors=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3), dtypes), min_size=1, max_size=6))
def test_the_library_reads_back_every_tensor(
    tmp_path_factory: pytest.TempPathFactory, tensors: list[tuple[int, int, torch.dtype]]
):
    path = tmp_path_factory.mktemp("written") / "x.safetensors"
    state = {
        f"t{index}": torch.arange(rows * columns).view(rows, columns).to(dtype)
        for index, (rows, columns, dtype) in enumerate(tensors)
    }
    planned = [
        Planned(name, tuple(tensor.shape), tensor.dtype, lambda tensor=tensor: iter(tensor.split(2)))
        for name, tensor in state.items()
    ]
    written.write_file(path, planned)
    found = load_file(path)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
    assert [left for left in path.parent.iterdir() if left != path] == []


def test_too_few_rows_are_our_own_mistake(tmp_path: Path):
    short = Planned("t", (3, 2), torch.float32, lambda: iter([torch.zeros(2, 2)]))
    with pytest.raises(AssertionError, match="16 bytes of 24"):
        written.write_file(tmp_path / "x.safetensors", [short])
    assert not (tmp_path / "x.safetensors").exists()


def test_shards_and_index_load_as_one_model(
    theirs: transformers.MixtralForCausalLM, hf: Path, tmp_path: Path, ids_BS: torch.Tensor
):
    state = load_file(hf / "model.safetensors")
    theirs.config.save_pretrained(tmp_path)
    written.write(tmp_path, written.in_memory(state, torch.float32), max_shard_bytes=40_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(state)
    assert index["metadata"]["total_size"] == sum(4 * tensor.numel() for tensor in state.values())
    assert len(set(index["weight_map"].values())) > 2
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(ids_BS).logits, theirs(ids_BS).logits)
