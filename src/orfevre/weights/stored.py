"""Safetensors files, read by rows: the header is checked before a byte of data is, and nothing is ever executed.

Layout (safetensors): 8 bytes, the length N of the header, little endian; N bytes of JSON, name -> dtype, shape and
data_offsets; then the data, each tensor row by row. A tensor is read as a matrix: `[rows, columns]`,
all dimensions but the last taken together; a vector as `[rows]`.
"""

import json
import math
import mmap
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from orfevre.errors import InputError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""Of a safetensors header. Weights are floating point; whole numbers are another format's (a quantised model's)."""

MAX_HEADER_BYTES = 100_000_000
"""What the safetensors library accepts."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies."""

    path: Path
    offset: int
    """Bytes from the file's start."""
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def num_rows(self) -> int:
        """Of the tensor seen as a matrix (a vector is one column)."""
        return math.prod(self.shape[:-1]) if len(self.shape) > 1 else math.prod(self.shape)

    @property
    def columns(self) -> tuple[int, ...]:
        return self.shape[-1:] if len(self.shape) > 1 else ()

    @property
    def row_bytes(self) -> int:
        return math.prod(self.columns) * self.dtype.itemsize


def index(paths: Sequence[Path]) -> dict[str, Entry]:
    """Every tensor of the files. Raises InputError for a damaged file and for a name that two files have."""
    found: dict[str, Entry] = {}
    for path in paths:
        for name, entry in _header(path).items():
            if name in found:
                raise InputError(f"{path}: tensor {name} is in {found[name].path.name} too; keep one of the two files")
            found[name] = entry
    return found


def read(entry: Entry, start: int, stop: int) -> torch.Tensor:
    """Rows start to stop, read into memory of their own. Raises InputError when the file ends before them."""
    rows = torch.empty((stop - start, *entry.columns), dtype=entry.dtype)
    if not rows.numel():
        return rows
    view = memoryview(rows.view(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    with entry.path.open("rb", buffering=0) as file:
        file.seek(entry.offset + start * entry.row_bytes)
        done = 0
        while done < len(view):
            got = file.readinto(view[done:])
            if not got:
                raise InputError(f"{entry.path}: ends inside a tensor; it changed while it was read, fetch it again")
            done += got
    return rows


class Mapped:
    """Tensors of files as views of the page cache: nothing is read until it is used, and it may be dropped again."""

    def __init__(self) -> None:
        self._files: dict[Path, torch.Tensor] = {}

    def rows(self, entry: Entry, start: int, stop: int) -> torch.Tensor:
        """Rows start to stop, read-only. A tensor that lies askew of its dtype is read instead."""
        if entry.offset % entry.dtype.itemsize:
            return read(entry, start, stop)
        begin, end = (entry.offset + row * entry.row_bytes for row in (start, stop))
        return self._file(entry.path)[begin:end].view(entry.dtype).view(stop - start, *entry.columns)

    def _file(self, path: Path) -> torch.Tensor:
        if path not in self._files:
            with path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # torch has no read-only tensors; nobody writes to these
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._files[path] = torch.frombuffer(mapping, dtype=torch.uint8)
        return self._files[path]


def _header(path: Path) -> dict[str, Entry]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise InputError(
                    f"{path}: truncated, or not a safetensors file (its header would take {length} of its {size} "
                    "bytes); fetch it again"
                )
            table = json.loads(file.read(length))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({os.strerror(error.errno or 0)}); fetch it again") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a safetensors file (its header is not JSON); fetch it again") from None
    if not isinstance(table, dict):
        raise InputError(f"{path}: not a safetensors file (its header is not a JSON object); fetch it again")
    table.pop("__metadata__", None)
    entries = {name: _entry(path, 8 + length, name, value) for name, value in table.items()}
    end = max((entry.offset + entry.num_bytes for entry in entries.values()), default=8 + length)
    if end > size:
        raise InputError(f"{path}: truncated, {size} bytes of {end}; fetch it again")
    return entries


def _entry(path: Path, data: int, name: str, value: object) -> Entry:
    try:
        assert isinstance(value, Mapping)
        dtype, shape = str(value["dtype"]), tuple(int(size) for size in value["shape"])
        start, end = (int(offset) for offset in value["data_offsets"])
    except (AssertionError, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: tensor {name} has a damaged entry in the header; fetch the file again") from None
    if dtype not in DTYPES:
        raise InputError(
            f"{path}: tensor {name} is stored as {dtype}; weights are read as {', '.join(DTYPES)}. Take the model's "
            "unquantised release"
        )
    entry = Entry(path, data + start, DTYPES[dtype], shape)
    if min(shape, default=0) < 0 or start < 0 or end - start != entry.num_bytes:
        raise InputError(f"{path}: tensor {name} of shape {list(shape)} does not fill its bytes; fetch the file again")
    return entry
