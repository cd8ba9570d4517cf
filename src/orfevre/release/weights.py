"""Weights as safetensors in MixtralForCausalLM's names, in one file or, above a limit, in several with an index."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

MAX_SHARD_BYTES = 5_000_000_000
"""The size Hugging Face's own tools split at."""


def write(
    folder: Path, state: Mapping[str, torch.Tensor], dtype: torch.dtype, max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Save `state` (Hugging Face names) as `dtype`: model.safetensors, or numbered shards and their index."""
    shards = split(state, dtype, max_shard_bytes)
    if len(shards) == 1:
        _save(folder / "model.safetensors", state, shards[0], dtype)
        return
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save(folder / file, state, names, dtype)
        weight_map |= dict.fromkeys(names, file)
    total = sum(tensor.numel() * dtype.itemsize for tensor in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def split(state: Mapping[str, torch.Tensor], dtype: torch.dtype, max_shard_bytes: int) -> list[list[str]]:
    """Names in order, cut into runs of at most `max_shard_bytes`; a larger tensor stands alone."""
    shards: list[list[str]] = [[]]
    held = 0
    for name, tensor in state.items():
        size = tensor.numel() * dtype.itemsize
        if shards[-1] and held + size > max_shard_bytes:
            shards.append([])
            held = 0
        shards[-1].append(name)
        held += size
    return shards


def _save(path: Path, state: Mapping[str, torch.Tensor], names: list[str], dtype: torch.dtype) -> None:
    tensors = {name: state[name].detach().to("cpu", dtype).contiguous() for name in names}
    aside = path.with_name(f".{path.name}.aside")
    save_file(tensors, aside, metadata={"format": "pt"})  # transformers asks for this mark
    aside.chmod(0o644)  # safetensors writes for the owner alone; a release is for everyone
    aside.replace(path)
