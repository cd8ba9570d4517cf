"""Shards: every tensor once, none over the limit, read back by transformers."""

import json
from pathlib import Path

import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from orfevre.release import weights


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=20), limit=st.integers(1, 200))
def test_split_keeps_order_and_limit(sizes: list[int], limit: int):
    state = {f"t{index}": torch.zeros(size) for index, size in enumerate(sizes)}
    shards = weights.split(state, torch.float32, limit)
    assert [name for names in shards for name in names] == list(state)
    for names in shards:
        assert names and (len(names) == 1 or sum(4 * state[name].numel() for name in names) <= limit)


def test_shards_and_index_load_as_one_model(tmp_path: Path):
    config = transformers.MixtralConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=4, head_dim=8, architectures=["MixtralForCausalLM"],
    )  # fmt: skip
    made = transformers.MixtralForCausalLM(config).eval()
    made.save_pretrained(tmp_path / "theirs")
    state = load_file(tmp_path / "theirs" / "model.safetensors")
    folder = tmp_path / "ours"
    folder.mkdir()
    config.save_pretrained(folder)
    weights.write(folder, state, torch.float32, max_shard_bytes=40_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(state)
    assert index["metadata"]["total_size"] == sum(4 * tensor.numel() for tensor in state.values())
    assert len(set(index["weight_map"].values())) > 2
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids_BS = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids_BS).logits, made(ids_BS).logits)
