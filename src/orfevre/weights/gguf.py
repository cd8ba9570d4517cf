"""A model as one GGUF file for llama.cpp, by the format's own package: metadata, tokenizer, tensors as a stream."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from orfevre.errors import InputError, UserError

from . import formats, gguf_tokenizer, stream
from .opened import Opened
from .written import Planned

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFWriter

DTYPES = ("float32", "float16", "bfloat16", "q8_0")
_FILE_TYPES = {"float32": 0, "float16": 1, "q8_0": 7, "bfloat16": 32}
"""general.file_type: what most of the tensors are."""


def require() -> None:
    """Raises UserError when the package is not there."""
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise UserError("writing GGUF needs the gguf package: pip install 'orfevre[gguf]'") from None


def check(source: Opened, dtype: str) -> None:
    """Raises UserError for what llama.cpp's `llama` architecture cannot say, or `dtype` cannot hold."""
    config = source.config
    if options := config.beyond_mixtral:
        raise InputError(
            f"{source.path}: GGUF's llama architecture has no word for {', '.join(options)}; convert to hf"
        )
    if config.sliding_window and config.sliding_window < config.context_length:
        raise InputError(
            f"{source.path}: GGUF's llama architecture has no word for a sliding window of {config.sliding_window} in "
            f"{config.context_length} positions; convert to hf or mistral"
        )
    if dtype != "q8_0":
        return
    for name, shape in formats.gguf(config, source.vocab_size).shapes.items():
        if _quantised(name, shape) and shape[-1] % 32:
            raise InputError(
                f"{source.path}: {name} has rows of {shape[-1]}, and q8_0 takes 32 numbers at a time; give "
                "--dtype bfloat16"
            )


def num_bytes(source: Opened, dtype: str) -> int:
    """Of all tensors."""
    total = 0
    for name, shape in formats.gguf(source.config, source.vocab_size).shapes.items():
        count = int(np.prod(shape))
        total += (
            count * 4
            if not _quantised(name, shape)
            else count * 34 // 32
            if dtype == "q8_0"
            else (count * getattr(torch, dtype).itemsize)
        )
    return total


def write(source: Opened, path: Path, name: str, dtype: str, done: Callable[[int], None] = lambda _: None) -> None:
    """Write `path`. Norms and routers are float32 whatever `dtype` says, as llama.cpp wants them.

    `done` is told the bytes of each block. Raises InputError for a weight that is not finite or too large for `dtype`.
    """
    from gguf import GGUFWriter

    layout = formats.gguf(source.config, source.vocab_size)
    held = torch.float32 if dtype == "q8_0" else getattr(torch, dtype)
    wide = {tensor.name: tensor for tensor in stream.plan(source, layout, torch.float32, done)}
    narrow = {tensor.name: tensor for tensor in stream.plan(source, layout, held, done)}
    writer = GGUFWriter(path, "llama")
    _metadata(writer, source, name, dtype)
    gguf_tokenizer.write(writer, source)
    planned = []
    for tensor_name, shape in layout.shapes.items():
        small = _quantised(tensor_name, shape)
        tensor, kind = (narrow if small else wide)[tensor_name], _kind(dtype if small else "float32")
        writer.add_tensor_info(tensor_name, *_extent(shape, kind), raw_dtype=kind)
        planned.append((tensor, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, kind in planned:
        _write_tensor(writer, tensor, kind)
    writer.close()


def _metadata(writer: "GGUFWriter", source: Opened, name: str, dtype: str) -> None:
    config = source.config
    writer.add_name(name)
    writer.add_file_type(_FILE_TYPES[dtype])
    writer.add_vocab_size(source.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_layers)
    writer.add_feed_forward_length(config.ffn_size)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    if config.num_experts > 1:
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.experts_per_token)


def _quantised(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor takes the file's dtype: vectors and routers stay float32."""
    return len(shape) > 1 and not name.endswith("ffn_gate_inp.weight")


def _kind(dtype: str) -> "GGMLQuantizationType":
    from gguf import GGMLQuantizationType

    kinds = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "q8_0": "Q8_0"}
    return GGMLQuantizationType[kinds[dtype]]


def _extent(shape: tuple[int, ...], kind: "GGMLQuantizationType") -> tuple[tuple[int, ...], "np.dtype[np.uint8]", int]:
    """Shape in bytes, the dtype that says so, and the number of bytes."""
    from gguf import quant_shape_to_byte_shape

    in_bytes = tuple(int(size) for size in quant_shape_to_byte_shape(shape, kind))
    return in_bytes, np.dtype(np.uint8), int(np.prod(in_bytes))


def _write_tensor(writer: "GGUFWriter", tensor: Planned, kind: "GGMLQuantizationType") -> None:
    """Block by block; the package's own method wants the tensor whole."""
    from gguf import GGMLQuantizationType, quants

    assert writer.fout is not None
    file, written = writer.fout[0], 0
    writer.write_padding(file, file.tell())
    for block in tensor.chunks():
        if kind == GGMLQuantizationType.Q8_0:
            data = quants.quantize(block.numpy(), kind)
        else:
            data = block.view(-1).view(torch.uint8).numpy()
        written += data.nbytes
        data.tofile(file)
    writer.write_padding(file, written)
