"""How far the weights of two models lie apart, tensor by tensor, whatever order their experts come in.

Experts of a layer may be renamed at will as long as the router's rows follow: the model stays the same. So experts are
matched first, by the assignment with the largest sum of cosine similarities, and compared in that order.

Shapes: H hidden, F inner width of an expert, A and B experts of the first and the second model.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment

from orfevre.weights.opened import Opened

from .parameters import CHUNK, place

STACKS = ("moe.w13", "moe.w2")
BY_EXPERT = (*STACKS, "moe.gate.weight", "moe.balance_bias")
"""Tensors whose first dimension is the expert."""


@dataclass(frozen=True)
class Matching:
    """Which expert of the second model stands where one of the first does, in a layer."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    similarity: tuple[float, ...]
    """Cosine of the two experts' weights, w1, w2 and w3 together; 0 where one of them is all zero."""

    @property
    def permuted(self) -> bool:
        return self.first != self.second


def match(a: Opened, b: Opened, layer: int) -> Matching:
    """Optimal assignment of the experts of a layer; both models' experts are of one shape."""
    dots, squares_a, squares_b = (np.zeros(()) for _ in range(3))
    for name in STACKS:
        for one, other in _slabs(a, b, f"blocks.{layer}.{name}"):
            dots = dots + (one @ other.T).double().numpy()
            squares_a = squares_a + one.square().sum(1, dtype=torch.float64).numpy()
            squares_b = squares_b + other.square().sum(1, dtype=torch.float64).numpy()
    lengths = np.sqrt(np.multiply.outer(squares_a, squares_b))
    cosine: npt.NDArray[np.float64] = np.divide(dots, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    first, second = linear_sum_assignment(np.nan_to_num(cosine), maximize=True)
    similarity = np.nan_to_num(cosine)[first, second].clip(-1, 1)
    return Matching(tuple(first.tolist()), tuple(second.tolist()), tuple(similarity.tolist()))


def _slabs(a: Opened, b: Opened, name: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same rows of every expert, side by side: float32 `[A, n]` and `[B, n]`, a few million numbers at a time."""
    rows, columns = a.shapes[name][1:]
    experts = max(a.shapes[name][0], b.shapes[name][0])
    step = max(1, CHUNK // (columns * experts))
    for start in range(0, rows, step):
        stop = min(rows, start + step)
        yield tuple(  # type: ignore[misc]
            torch.stack([
                opened.rows(name, e * rows + start, e * rows + stop).float().flatten()
                for e in range(opened.shapes[name][0])
            ])
            for opened in (a, b)
        )  # fmt: skip


def comparable(a: Opened, b: Opened, layer: int) -> bool:
    """Whether both have this layer, with experts of one shape."""
    names = [f"blocks.{layer}.{name}" for name in STACKS]
    return all(name in a.shapes and name in b.shapes and a.shapes[name][1:] == b.shapes[name][1:] for name in names)


def compare(a: Opened, b: Opened, name: str, matching: Matching | None) -> dict[str, Any]:
    """JSON of one tensor: `{"name", "part", "layer", "relative", "note"}`.

    `relative` is the norm of second minus first over the norm of the first (of the experts that are matched), null when
    it cannot be said, and `note` then says why.
    """
    part, layer = place(name)
    row: dict[str, Any] = {"name": name, "part": part, "layer": layer, "relative": None, "note": ""}
    if (lacking := "A" if name not in a.shapes else "B" if name not in b.shapes else "") != "":
        return row | {"note": f"not in {lacking}"}
    by_expert = matching is not None and name.endswith(BY_EXPERT)
    shapes = [tuple(opened.shapes[name]) for opened in (a, b)]
    if shapes[0] != shapes[1] and not (by_expert and shapes[0][1:] == shapes[1][1:]):
        return row | {"note": f"{list(shapes[0])} in A, {list(shapes[1])} in B"}
    if by_expert and matching is not None:
        pieces = [_apart(a, b, name, i, j) for i, j in zip(matching.first, matching.second, strict=True)]
        row["experts"] = [_relative(*piece) for piece in pieces]
        apart, length = (sum(piece[part] for piece in pieces) for part in (0, 1))
    else:
        apart, length = _apart(a, b, name, None, None)
    relative = _relative(apart, length)
    return row | {"relative": relative, "note": "" if relative is not None else "not finite, or all zero in A"}


def _apart(a: Opened, b: Opened, name: str, i: int | None, j: int | None) -> tuple[float, float]:
    """Squares of the difference and of the first, over the whole tensor or expert i of one and j of the other."""
    shape = a.shapes[name]
    columns = shape[-1] if len(shape) > 1 else 1
    rows = math.prod(shape) // columns
    if i is not None:
        rows = rows // shape[0]
    here, there = (i or 0) * rows, (j or 0) * rows
    step = max(1, CHUNK // max(1, columns))
    apart = length = 0.0
    for start in range(0, rows, step):
        stop = min(rows, start + step)
        one = a.rows(name, here + start, here + stop).float()
        other = b.rows(name, there + start, there + stop).float()
        apart += float(torch.linalg.vector_norm(other - one)) ** 2
        length += float(torch.linalg.vector_norm(one)) ** 2
    return apart, length


def _relative(apart: float, length: float) -> float | None:
    if apart == 0.0:
        return 0.0
    if not (math.isfinite(apart) and math.isfinite(length)) or length == 0.0:
        return None
    return math.sqrt(apart / length)
