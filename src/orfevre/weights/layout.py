"""How each published layout cuts our stacked parameters into tensors: one table, read both ways.

A `Piece` says: these rows of their tensor are those rows of ours. Loading gathers the pieces of our tensor, converting
writes those of theirs, so that a layout and its inverse cannot disagree. Tensors are matrices `[rows, columns]` here:
all dimensions but the last taken together (a stack of experts `[E, 2F, H]` is `[E * 2F, H]`); a vector is `[rows]`.

Shapes: H hidden, F inner width of an expert, E experts, N query heads, K key-value heads, D head width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from orfevre import recipe

Order = Literal["same", "interleaved", "transposed"]
"""How the rows of a piece lie in theirs: as in ours; with RoPE's pairs side by side; or as the matrix's transpose."""


@dataclass(frozen=True)
class Piece:
    theirs: str
    their_start: int
    """First row in theirs."""
    their_rows: int
    ours: str
    start: int
    """First row in ours."""
    rows: int
    order: Order = "same"


@dataclass(frozen=True)
class Layout:
    """Every tensor of a model as some format names them."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of their tensors, in the order they are written."""
    pieces: tuple[Piece, ...]
    head_width: int

    def of_ours(self) -> dict[str, list[Piece]]:
        """Our names, each with its pieces from the first row to the last."""
        found: dict[str, list[Piece]] = {}
        for piece in sorted(self.pieces, key=lambda piece: piece.start):
            found.setdefault(piece.ours, []).append(piece)
        return found

    def of_theirs(self) -> dict[str, list[Piece]]:
        """Their names, each with its pieces from the first row to the last."""
        found: dict[str, list[Piece]] = {name: [] for name in self.shapes}
        for piece in sorted(self.pieces, key=lambda piece: piece.their_start):
            found[piece.theirs].append(piece)
        return found


def to_theirs(rows: torch.Tensor, order: Order, head_width: int) -> torch.Tensor:
    """Rows of ours in the order of theirs."""
    if order == "transposed":
        return rows.t()
    if order == "interleaved":  # ours has a head's first halves, then its second; theirs each pair side by side
        return rows.view(-1, 2, head_width // 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
    return rows


def to_ours(rows: torch.Tensor, order: Order, head_width: int) -> torch.Tensor:
    """The inverse of `to_theirs`."""
    if order == "transposed":
        return rows.t()
    if order == "interleaved":
        return rows.view(-1, head_width // 2, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
    return rows


class Builder:
    """Collects a layout tensor by tensor, in the order in which it is written."""

    def __init__(self, config: recipe.Model) -> None:
        self.config = config
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.pieces: list[Piece] = []

    def whole(self, theirs: str, ours: str, shape: tuple[int, ...]) -> None:
        """A tensor that is ours under another name."""
        self.shapes[theirs] = shape
        rows = num_rows(shape)
        self.pieces.append(Piece(theirs, 0, rows, ours, 0, rows))

    def part(self, theirs: str, ours: str, start: int, shape: tuple[int, int], order: Order = "same") -> None:
        """A matrix that is the rows of ours from `start` on."""
        self.shapes[theirs] = shape
        self.pieces.append(Piece(theirs, 0, shape[0], ours, start, shape[0], order))

    def attention(self, names: tuple[str, str, str], ours: str, order: Order) -> None:
        """The tensors of queries, keys and values; `order` is that of the first two."""
        config, start = self.config, 0
        for name, heads in zip(names, (config.num_heads, config.num_kv_heads, config.num_kv_heads), strict=True):
            shape = (heads * config.head_width, config.hidden_size)
            self.part(name, ours, start, shape, "same" if name == names[2] else order)
            start += shape[0]

    def experts(self, theirs: tuple[str, str, str], ours: str) -> None:
        """One tensor an expert: the names of its w1, w2 and w3, in that order, with `{e}` for its number."""
        inner, hidden = self.config.ffn_size, self.config.hidden_size
        w1, w2, w3 = theirs
        for e in range(self.config.num_experts):
            self.part(w1.format(e=e), ours + "w13", 2 * inner * e, (inner, hidden))
            self.part(w2.format(e=e), ours + "w2", hidden * e, (hidden, inner))
            self.part(w3.format(e=e), ours + "w13", 2 * inner * e + inner, (inner, hidden))

    def stacked(self, theirs: str, ours: str, offset: int, shape: tuple[int, ...], order: Order = "same") -> None:
        """The experts' matrices one after another; in ours that of an expert starts `offset` rows into its stack."""
        inner, hidden, experts = self.config.ffn_size, self.config.hidden_size, self.config.num_experts
        stride, rows = (2 * inner, inner) if ours.endswith("w13") else (hidden, hidden)
        self.shapes[theirs] = shape
        their_rows = num_rows(shape) // experts
        for e in range(experts):
            piece = Piece(theirs, e * their_rows, their_rows, ours, e * stride + offset, rows, order)
            self.pieces.append(piece)

    def done(self) -> Layout:
        return Layout(self.shapes, tuple(self.pieces), self.config.head_width)


def num_rows(shape: tuple[int, ...]) -> int:
    """Of a tensor seen as a matrix."""
    return shape[0] if len(shape) == 1 else math.prod(shape[:-1])
