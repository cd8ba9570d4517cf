"""Read one expert of a model's files into memory that is used again and again.

Bytes that lie as we hold them go from the file straight to their place (pread); others (another dtype, int8 and int4,
Mistral's transposed w2) are read aside and put in order. No file is mapped: mapped pages would count as this process's
memory, and a page fault waits for one piece of the disk at a time.

Shapes: H hidden, F inner width of an expert.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

from orfevre.errors import InputError
from orfevre.weights.checks import check_finite
from orfevre.weights.opened import Opened

from .expert_cache import Pair
from .held import FLOATS, Kept, Precision, num_bytes
from .memory import Arena
from .quantise import BITS, ROWS, Quantised, quantise

PARTS = ("w13", "w2")


class ExpertFiles:
    def __init__(self, opened: Opened, precision: Precision | None = None, group: int = 0) -> None:
        """`precision` None is as stored, float16 as bfloat16; `group` 0 is `quantise.group_of`'s.

        Raises UserError for a file that cannot be opened, and where a matrix does not divide into groups."""
        config = opened.config
        self.precision = precision or stored_precision(opened)
        self._opened, self._pieces = opened, opened.layout.of_ours()
        self._group = group
        self._shapes = ((2 * config.ffn_size, config.hidden_size), (config.hidden_size, config.ffn_size))
        self._arena = Arena()
        self._checked: set[tuple[int, int]] = set()
        if self.precision in BITS:  # of a few rows, for its shape
            self._samples = [self._quantise(torch.zeros(ROWS, columns), None) for _, columns in self._shapes]
        names = [f"blocks.{layer}.moe.{part}" for layer in range(config.num_layers) for part in PARTS]
        entries = [opened.entries[piece.theirs] for name in names for piece in self._pieces[name]]
        self._files = {path: _open(path) for path in {entry.path for entry in entries}}
        self.expert_bytes = sum(self._size(part) for part in range(2))
        """Held."""

    def room(self) -> Pair:
        return self._part(0), self._part(1)

    @torch.inference_mode()  # what was made in it may be written to only in it, and it is each thread's own
    def read(self, layer: int, e: int, room: Pair) -> int:
        """Raises InputError for a file that ends early or is gone, and, once an expert, for a weight not finite."""
        total = 0
        for part, kept in zip(PARTS, room, strict=True):
            name = f"blocks.{layer}.moe.{part}"
            direct = isinstance(kept, torch.Tensor) and self._lies_as_held(name, kept.dtype)
            total += self._straight(name, e, kept) if direct else self._aside(layer, e, part, kept)
        self._checked.add((layer, e))
        return total

    def _straight(self, name: str, e: int, kept: Kept) -> int:
        assert isinstance(kept, torch.Tensor)
        view = memoryview(kept.view(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
        done = 0
        for path, offset, size in self._ranges(name, e, len(kept)):
            _fill(self._files[path], path, view[done : done + size], offset)
            done += size
        assert done == len(view)
        self._check(kept, name, e)
        return done

    def _aside(self, layer: int, e: int, part: str, kept: Kept) -> int:
        name, rows = f"blocks.{layer}.moe.{part}", self._shapes[PARTS.index(part)][0]
        try:
            given = self._opened.rows(name, rows * e, rows * (e + 1))
        except OSError as error:
            raise InputError(f"{error.filename}: {_gone(error)}") from None
        self._check(given, name, e)
        if isinstance(kept, Quantised):
            self._quantise(given, kept.blocks)
        else:
            kept.copy_(given)
        return given.nbytes

    def _check(self, matrix: torch.Tensor, name: str, e: int) -> None:
        layer = int(name.split(".")[1])
        if (layer, e) not in self._checked:
            check_finite(matrix, self._opened.path, f"{name} of expert {e}")

    def _ranges(self, name: str, e: int, rows: int) -> Iterator[tuple[Path, int, int]]:
        """Where the rows of an expert lie: file, offset and number of bytes of each stretch."""
        start, stop = e * rows, (e + 1) * rows
        for piece in self._pieces[name]:
            low, high = max(start, piece.start), min(stop, piece.start + piece.rows)
            if low < high:
                entry = self._opened.entries[piece.theirs]
                first = piece.their_start + low - piece.start
                yield entry.path, entry.offset + first * entry.row_bytes, (high - low) * entry.row_bytes

    def _lies_as_held(self, name: str, dtype: torch.dtype) -> bool:
        pieces = self._pieces[name]
        return all(piece.order == "same" and self._opened.entries[piece.theirs].dtype == dtype for piece in pieces)

    def _part(self, part: int) -> Kept:
        rows, columns = self._shapes[part]
        if self.precision not in BITS:
            return self._arena.empty((rows, columns), FLOATS[self.precision])
        blocks = self._arena.empty((-(-rows // ROWS), *self._samples[part].blocks.shape[1:]), torch.uint8)
        return Quantised(blocks, rows, columns, self._samples[part].bits, self._samples[part].group)

    def _size(self, part: int) -> int:
        rows, columns = self._shapes[part]
        if self.precision not in BITS:
            return rows * columns * FLOATS[self.precision].itemsize
        return -(-rows // ROWS) * num_bytes(self._samples[part])

    def _quantise(self, matrix: torch.Tensor, blocks: torch.Tensor | None) -> Quantised:
        arena = None if blocks is None else _Given(blocks)
        return quantise(matrix, BITS[self.precision], self._group, arena, "an expert's matrix")


class _Given(Arena):
    """Hands out one tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        self._tensor = tensor

    def empty(self, shape: object, dtype: torch.dtype) -> torch.Tensor:
        assert tuple(self._tensor.shape) == shape and self._tensor.dtype == dtype
        return self._tensor


def stored_precision(opened: Opened) -> Precision:
    """That of the experts' files; float16 is held as bfloat16."""
    wide = (torch.float32, torch.float64)
    return "float32" if opened.dtype("blocks.0.moe.w13") in wide else "bfloat16"


def _open(path: Path) -> BinaryIO:
    """Kept open, so that a file that is deleted or replaced meanwhile is read to the end."""
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{path}: {_gone(error)}") from None


def _fill(file: BinaryIO, path: Path, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        try:
            got = os.preadv(file.fileno(), [view[done:]], offset + done)
        except OSError as error:
            raise InputError(f"{path}: {_gone(error)}") from None
        if not got:
            raise InputError(f"{path}: ends inside a tensor; it changed while it was read, fetch it again")
        done += got


def _gone(error: OSError) -> str:
    return f"cannot be read while the model runs ({os.strerror(error.errno or 0)}); fetch it again"
