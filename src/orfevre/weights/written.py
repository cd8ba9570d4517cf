"""Write safetensors as a stream: the header first, then each tensor as its rows arrive, in files of a bounded size.

The library's own writer wants every tensor in memory; a checkpoint of 93 GB would not fit.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from .stored import DTYPES

MAX_SHARD_BYTES = 5_000_000_000
"""The size Hugging Face's own tools split at."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Planned:
    """A tensor that will be written."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    chunks: Callable[[], Iterator[torch.Tensor]]
    """Its rows from first to last, in contiguous blocks of `dtype`."""

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def in_memory(state: Mapping[str, torch.Tensor], dtype: torch.dtype) -> list[Planned]:
    """Tensors that are there already, to be written as `dtype`."""

    def plan(name: str, tensor: torch.Tensor) -> Planned:
        return Planned(name, tuple(tensor.shape), dtype, lambda: iter([tensor.detach().to("cpu", dtype).contiguous()]))

    return [plan(name, tensor) for name, tensor in state.items()]


def write(
    folder: Path, tensors: Sequence[Planned], stem: str = "model", max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """`<stem>.safetensors`, or above `max_shard_bytes` numbered shards and their index."""
    shards = split(tensors, max_shard_bytes)
    if len(shards) == 1:
        write_file(folder / f"{stem}.safetensors", shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / file, shard)
        weight_map |= {tensor.name: file for tensor in shard}
    total = sum(tensor.num_bytes for tensor in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def split(tensors: Sequence[Planned], max_shard_bytes: int) -> list[list[Planned]]:
    """In order, cut into runs of at most `max_shard_bytes`; a larger tensor stands alone."""
    shards: list[list[Planned]] = [[]]
    held = 0
    for tensor in tensors:
        if shards[-1] and held + tensor.num_bytes > max_shard_bytes:
            shards.append([])
            held = 0
        shards[-1].append(tensor)
        held += tensor.num_bytes
    return shards


def write_file(path: Path, tensors: Sequence[Planned]) -> None:
    """One file, written aside and renamed. Wider dtypes come first, so that every tensor is aligned to its own."""
    ordered = sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize)
    aside = path.with_name(f".{path.name}.aside")
    with aside.open("wb") as file:
        file.write(_header(ordered))
        for tensor in ordered:
            written = 0
            for chunk in tensor.chunks():
                assert chunk.dtype == tensor.dtype and chunk.is_contiguous()
                written += file.write(memoryview(chunk.view(-1).view(torch.uint8).numpy()))  # type: ignore[arg-type]
            assert written == tensor.num_bytes, f"{tensor.name}: {written} bytes of {tensor.num_bytes}"
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _header(tensors: Sequence[Planned]) -> bytes:
    """The length of the JSON, then the JSON, padded so that the data begins at a multiple of eight."""
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers asks for this mark
    start = 0
    for tensor in tensors:
        end = start + tensor.num_bytes
        table[tensor.name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
