"""An opened model's tensors under another layout's names, block by block, checked on the way.

At most one block is held: 64 MB, or one expert's matrix where it must be transposed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from orfevre.errors import InputError

from .checks import check_finite
from .layout import Layout, Piece, to_theirs
from .opened import Opened
from .written import Planned

BLOCK_BYTES = 64 * 2**20


def plan(
    source: Opened, layout: Layout, dtype: torch.dtype | None, done: Callable[[int], None] = lambda _: None
) -> list[Planned]:
    """Every tensor of the layout, as `dtype` or as it is stored; `done` is told the bytes of each block.

    Writing raises InputError for a weight that is NaN, infinite or too large for `dtype`.
    """
    return [
        _planned(source, layout, (name, pieces), dtype or source.dtype(pieces[0].ours), done)
        for name, pieces in layout.of_theirs().items()
    ]


def _planned(
    source: Opened, layout: Layout, tensor: tuple[str, list[Piece]], dtype: torch.dtype, done: Callable[[int], None]
) -> Planned:
    name, pieces = tensor

    def chunks() -> Iterator[torch.Tensor]:
        for piece in pieces:
            for rows in _blocks(source, piece, layout.head_width):
                check_finite(rows, source.path, piece.ours)
                block = to_theirs(rows, piece.order, layout.head_width).to(dtype).contiguous()
                if torch.finfo(dtype).max < torch.finfo(rows.dtype).max:
                    _check_fits(block, source.path, piece.ours)
                done(block.numel() * block.itemsize)
                yield block

    return Planned(name, layout.shapes[name], dtype, chunks)


def _blocks(source: Opened, piece: Piece, head_width: int) -> Iterator[torch.Tensor]:
    """A piece's rows of ours; whole heads where their rows are put in another order."""
    row_bytes = max(1, source.shapes[piece.ours][-1]) * 4
    step = max(1, BLOCK_BYTES // row_bytes)
    if piece.order == "interleaved":
        step = max(1, step // head_width) * head_width
    elif piece.order == "transposed":
        step = piece.rows
    if len(source.shapes[piece.ours]) == 1:
        step = piece.rows
    for start in range(piece.start, piece.start + piece.rows, step):
        yield source.rows(piece.ours, start, min(start + step, piece.start + piece.rows))


def _check_fits(block: torch.Tensor, path: Path, name: str) -> None:
    if block.numel() and not all(bool(torch.isfinite(end)) for end in torch.aminmax(block)):
        raise InputError(
            f"{path}: tensor {name} holds numbers above {torch.finfo(block.dtype).max:g}, the largest of "
            f"{str(block.dtype).removeprefix('torch.')}; convert with --dtype bfloat16"
        )
