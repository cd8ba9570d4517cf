"""Weights in 8 or 4 bits: a bfloat16 scale for each group of a row's columns, laid out as the C kernels read them.

A block is 16 rows. Its groups follow one another; each is 16 scales (one a row), then lines of 64 bytes: in int8 a line
is 4 columns of the 16 rows, in int4 it is 8 (columns 0-3 in the low bits, 4-7 in the high). Values are stored unsigned,
128 or 8 added. products.h says the same in C.

Shapes: O rows, I columns, B = ceil(O / 16) blocks, G = I / group groups.
"""

from dataclasses import dataclass

import torch

from orfevre.errors import UserError

from .memory import Arena

ROWS = 16
GROUPS = (32, 64, 128)
BITS = {"int8": 8, "int4": 4}
WIDEST = {8: 64, 4: 32}
"""The group where none is asked for, if the columns divide by it; else 32."""
SHRUNK = (1.0, 0.92, 0.84)
"""int4: shares of the range that are tried for each group; the one with the least squared error is taken. Cutting off
the largest weight a little makes the other steps finer."""
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Quantised:
    """A matrix `[rows, columns]` in `bits` (8 or 4) and groups."""

    blocks: torch.Tensor
    """uint8 `[B, G, 32 + 2 x bits x group]`."""
    rows: int
    columns: int
    bits: int
    group: int

    @property
    def num_bytes(self) -> int:
        return self.blocks.numel()

    def dequantise(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """`[rows, columns]`, each value times its scale."""
        values, scales = self.unpack()
        matrix = values.to(torch.float32) * scales[..., None].float()
        return matrix.view(-1, self.columns)[: self.rows].to(dtype)

    def unpack(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Values int8 `[16 B, G, group]` and scales bfloat16 `[16 B, G]`."""
        num_blocks, num_groups, _ = self.blocks.shape
        scales = self.blocks[..., : 2 * ROWS].contiguous().view(torch.bfloat16)
        lines = self.blocks[..., 2 * ROWS :].reshape(num_blocks, num_groups, -1, ROWS, 4)
        if self.bits == 4:
            lines = torch.stack((lines & 15, lines >> 4), dim=3)
            values = lines.permute(0, 4, 1, 2, 3, 5).to(torch.int16) - 8
        else:
            values = lines.permute(0, 3, 1, 2, 4).to(torch.int16) - 128
        shape = (num_blocks * ROWS, num_groups)
        return values.reshape(*shape, self.group).to(torch.int8), scales.permute(0, 2, 1).reshape(shape)

    def product(self, x_TI: torch.Tensor) -> torch.Tensor:
        """x times the transposed matrix, float32 `[T, rows]`, as the C kernels round: x in int8, a scale a group."""
        return rounded(x_TI.float(), self.group) @ self.dequantise().t()


def rounded(x: torch.Tensor, group: int) -> torch.Tensor:
    """What is left of x `[..., I]` in int8 with one scale (largest size / 127) for each group of columns."""
    groups = x.view(*x.shape[:-1], -1, group)
    largest = groups.abs().amax(dim=-1, keepdim=True)
    steps = torch.where(largest > 0, 127.0 / largest, 0.0)
    return ((groups * steps).round() * (largest / 127.0)).view(x.shape)


def group_of(columns: int, bits: int, asked: int = 0) -> int:
    """The group of a matrix: what is asked for, or for 0 the widest of 32 and WIDEST that divides the columns."""
    return asked or (WIDEST[bits] if columns % WIDEST[bits] == 0 else 32)


def quantise(matrix: torch.Tensor, bits: int, group: int, arena: Arena | None = None, name: str = "") -> Quantised:
    """Round `[rows, columns]` to 8 or 4 bits; `group` 0 is `group_of`'s.

    Raises UserError where columns do not divide by the group.
    """
    rows, columns = matrix.shape
    group = group_of(columns, bits, group)
    if group not in GROUPS or columns % group:
        raise UserError(
            f"{name or 'a matrix'} of {columns} columns cannot be held in groups of {group}: take one of "
            f"{', '.join(str(each) for each in GROUPS)} that divides {columns}, or bfloat16 weights"
        )
    num_blocks, num_groups = -(-rows // ROWS), columns // group
    shape = (num_blocks, num_groups, 2 * ROWS + 2 * bits * group)
    blocks = (arena or Arena()).empty(shape, torch.uint8)
    for start in range(0, num_blocks, ROWS_AT_ONCE // ROWS):
        end = min(num_blocks, start + ROWS_AT_ONCE // ROWS)
        part = torch.zeros((end - start) * ROWS, columns)
        given = matrix[start * ROWS : end * ROWS]
        part[: len(given)] = given
        groups = part.view(-1, num_groups, group)
        values, scales = _eight_bits(groups) if bits == 8 else _four_bits(groups)
        _pack(values, scales, bits, blocks[start:end])
    return Quantised(blocks, rows, columns, bits, group)


def _eight_bits(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values -127 .. 127 (int8 `[O, G, group]`) and scales (bfloat16 `[O, G]`)."""
    scales = _not_below(groups.abs().amax(dim=-1) / 127.0)
    return _steps(groups, scales).clamp_(-127, 127).to(torch.int8), scales


def _four_bits(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values -8 .. 7 and scales. The largest weight becomes -8, so a scale has the other sign than that weight."""
    extreme = groups.gather(-1, groups.abs().argmax(dim=-1, keepdim=True))[..., 0]
    values = scales = torch.empty(0)
    least = torch.empty(0)
    for share in SHRUNK:
        tried = (extreme * (-share / 8.0)).to(torch.bfloat16)
        steps = _steps(groups, tried).clamp_(-8, 7)
        error = (steps * tried.float()[..., None]).sub_(groups).square_().sum(dim=-1)
        if share == SHRUNK[0]:
            values, scales, least = steps, tried, error
            continue
        better = error < least
        least = torch.where(better, error, least)
        scales = torch.where(better, tried, scales)
        values = torch.where(better[..., None], steps, values)
    return values.to(torch.int8), scales


def _steps(groups: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    inverse = torch.where(scales != 0, 1.0 / scales.float(), 0.0)
    return (groups * inverse[..., None]).round_()


def _not_below(x: torch.Tensor) -> torch.Tensor:
    """bfloat16 that is at least x (x >= 0), so that no value is cut off."""
    near = x.to(torch.bfloat16)
    above = (near.view(torch.int16) + 1).view(torch.bfloat16)
    return torch.where(near.float() < x, above, near)


def _pack(values: torch.Tensor, scales: torch.Tensor, bits: int, out: torch.Tensor) -> None:
    num_blocks, num_groups, _ = out.shape
    by_group = scales.view(num_blocks, ROWS, num_groups).permute(0, 2, 1).contiguous()
    out[..., : 2 * ROWS] = by_group.view(torch.uint8)
    unsigned = (values.to(torch.int16) + (128 if bits == 8 else 8)).to(torch.uint8)
    if bits == 8:
        lines = unsigned.view(num_blocks, ROWS, num_groups, -1, 4).permute(0, 2, 3, 1, 4)
    else:
        halves = unsigned.view(num_blocks, ROWS, num_groups, -1, 2, 4).permute(0, 2, 3, 4, 1, 5)
        lines = halves[:, :, :, 0] | halves[:, :, :, 1] << 4
    out[..., 2 * ROWS :] = lines.reshape(num_blocks, num_groups, -1)
