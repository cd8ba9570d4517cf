"""`orfevre convert`: a model from one format to another, in bounded memory, whole or not at all."""

import shutil
from pathlib import Path

import torch

from orfevre import console
from orfevre.errors import InputError, UserError

from . import gguf, published
from .opened import Opened, open_weights

FORMATS = ("hf", "mistral", "gguf")
DTYPES = ("float32", "bfloat16", "float16", "q8_0")
SPARE_BYTES = 64_000_000
"""Room on the disk for what is beside the weights."""


def convert(source: Path, target: Path, to: str, dtype: str | None = None) -> None:
    """Write the model at `source` to the folder `target` (a file for gguf), as it is stored or as `dtype`.

    A model whose options Mixtral's format cannot say is written by `hf` in orfevre's own. Raises UserError.
    """
    _check_places(source, target, to, dtype)
    opened = open_weights(source)
    total = _prepare(opened, to, dtype)
    _check_room(target, total)
    aside = target.with_name(f".{target.name}.partial")
    _clear(aside)
    try:
        _write(opened, aside, target.stem, (to, dtype), total)
    except BaseException:  # a weight that is not finite, a full disk, Ctrl-C: gigabytes must not stay behind
        _clear(aside)
        raise
    aside.rename(target)
    console.result(str(target))


def _write(opened: Opened, aside: Path, name: str, wanted: tuple[str, str | None], total: int) -> None:
    to, dtype = wanted
    with console.progress(f"convert to {to}", total, "B") as bar:
        if to == "gguf":
            gguf.write(opened, aside, name, _gguf_dtype(opened, dtype), bar.advance)
            return
        aside.mkdir()
        write = published.hugging_face if to == "hf" else published.mistral
        write(opened, aside, None if dtype is None else getattr(torch, dtype), bar.advance)


def _check_places(source: Path, target: Path, to: str, dtype: str | None) -> None:
    if dtype == "q8_0" and to != "gguf":
        raise UserError(f"--dtype q8_0 is GGUF's, and --to is {to}; give float32, bfloat16 or float16")
    if to == "gguf":
        gguf.require()
        if target.suffix != ".gguf":
            raise UserError(f"{target}: GGUF is one file; give a name that ends with .gguf")
    if source.resolve() == target.resolve():
        raise UserError(f"{target}: the model itself; give another place to write to")
    if target.exists() or target.is_symlink():
        raise UserError(f"{target}: exists; give another place, or delete it first")
    if source.resolve() in target.resolve().parents:
        raise UserError(f"{target}: inside the model's own folder; give a place beside it")
    if not target.absolute().parent.is_dir():
        raise UserError(f"{target}: {target.absolute().parent} is not a folder; make it first")


def _prepare(opened: Opened, to: str, dtype: str | None) -> int:
    """Bytes that will be written. Raises UserError when the format cannot say the model."""
    if to == "gguf":
        gguf.check(opened, kind := _gguf_dtype(opened, dtype))
        return gguf.num_bytes(opened, kind)
    options = opened.config.beyond_mixtral
    if to == "mistral" and options:
        raise InputError(f"{opened.path}: Mistral's format has no word for {', '.join(options)}; convert to hf")
    if opened.config.mtp_depth and not options:
        console.warn("the blocks that look ahead (mtp_depth) are left out: the format has no word for them")
    wanted = None if dtype is None else getattr(torch, dtype)
    size = {name: (wanted or opened.dtype(name)).itemsize for name in opened.names()}
    return sum(size[name] * int(torch.Size(shape).numel()) for name, shape in opened.shapes.items())


def _gguf_dtype(opened: Opened, dtype: str | None) -> str:
    stored = str(opened.dtype("embedding.weight")).removeprefix("torch.")
    return dtype or (stored if stored in gguf.DTYPES else "float32")


def _check_room(target: Path, wanted: int) -> None:
    free = shutil.disk_usage(target.absolute().parent).free
    if free < wanted + SPARE_BYTES:
        raise InputError(
            f"{target.absolute().parent}: {console.quantity(wanted, 'B')} will be written and "
            f"{console.quantity(free, 'B')} are free; make room or give a place on another disk"
        )


def _clear(aside: Path) -> None:
    """What an attempt that was killed left."""
    if aside.is_dir():
        shutil.rmtree(aside)
    aside.unlink(missing_ok=True)
