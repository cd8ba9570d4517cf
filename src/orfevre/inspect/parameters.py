"""The parameters of a model on disk, tensor by tensor: how many, how large, how strong, and whether any is dead or NaN.

Tensors are read a few million numbers at a time, so that a model larger than memory can be looked at.

Shapes: H hidden, F inner width of an expert, E experts.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from orfevre.model import count
from orfevre.weights.opened import Opened

CHUNK = 1_000_000
"""Numbers looked at together."""

PARTS = ("embedding", "attention", "experts", "shared experts", "router", "norms", "output", "mtp")


@dataclass(frozen=True)
class Sums:
    """What is added up over pieces of a tensor."""

    numbers: int = 0
    squares: float = 0.0
    """Of the finite ones."""
    largest: float = 0.0
    zero_rows: int = 0
    not_finite: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.numbers + other.numbers,
            self.squares + other.squares,
            max(self.largest, other.largest),
            self.zero_rows + other.zero_rows,
            self.not_finite + other.not_finite,
        )

    @property
    def rms(self) -> float:
        """Root of the mean square of the finite numbers."""
        return math.sqrt(self.squares / max(1, self.numbers - self.not_finite))


@dataclass(frozen=True)
class Measured:
    """One tensor, by our name."""

    name: str
    part: str
    layer: int | None
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    sums: Sums
    experts: tuple[Sums, ...] = ()
    """The same for each expert of a stack `[E, ...]`."""

    def table(self) -> dict[str, Any]:
        row = asdict(replace(self, sums=Sums(), experts=()))
        row |= {"shape": list(self.shape), "parameters": self.sums.numbers, "norm": math.sqrt(self.sums.squares)}
        row |= {"rms": self.sums.rms, "largest": self.sums.largest}
        row |= {"zero_rows": self.sums.zero_rows, "not_finite": self.sums.not_finite}
        row["experts"] = [part.rms for part in self.experts]
        del row["sums"]
        return row


def measure(opened: Opened) -> list[Measured]:
    """Every tensor of the model, in its order."""
    return [_measure(opened, name) for name in opened.names()]


def _measure(opened: Opened, name: str) -> Measured:
    shape, dtype = tuple(opened.shapes[name]), opened.dtype(name)
    part, layer = place(name)
    rows = math.prod(shape[:-1]) if len(shape) > 1 else math.prod(shape)
    stacks = shape[0] if len(shape) == 3 else 1
    pieces = [sums(chunks(opened, name, rows // stacks * e, rows // stacks * (e + 1))) for e in range(stacks)]
    total = sum(pieces, Sums())
    whole = tuple(pieces) if len(shape) == 3 else ()
    words = str(dtype).removeprefix("torch.")
    return Measured(name, part, layer, shape, words, total.numbers * dtype.itemsize, total, whole)


def chunks(opened: Opened, name: str, start: int, stop: int) -> Iterator[torch.Tensor]:
    """Rows of a tensor seen as a matrix, float32, CHUNK numbers at a time."""
    columns = opened.shapes[name][-1] if len(opened.shapes[name]) > 1 else 1
    step = max(1, CHUNK // max(1, columns))
    for first in range(start, stop, step):
        yield opened.rows(name, first, min(stop, first + step)).float()


def sums(pieces: Iterable[torch.Tensor]) -> Sums:
    """Of matrices or vectors; a vector has no rows to be dead."""
    total = Sums()
    for piece in pieces:
        largest = piece.abs().amax() if piece.numel() else torch.zeros(())
        bad = 0
        if not math.isfinite(float(largest)):
            finite = piece.isfinite()
            bad = int((~finite).sum())
            piece = piece.where(finite, 0.0)  # noqa: PLW2901 - what is measured from here on
            largest = piece.abs().amax()
        zero = int((piece == 0).all(dim=1).sum()) if piece.ndim > 1 else 0
        square = float(torch.linalg.vector_norm(piece)) ** 2
        total += Sums(piece.numel(), square, float(largest), zero, bad)
    return total


_PLACES = (
    ("mtp", r"mtp\."),
    ("shared experts", r".*\.shared_"),
    ("experts", r".*\.moe\.w(13|2)$"),
    ("router", r".*\.moe\.(gate\.|balance_bias$)"),
    ("norms", r"(.*[._])?norm\.weight$"),
    ("attention", r".*\.attention\."),
    ("output", r"output\."),
    ("embedding", r"embedding\."),
)


def place(name: str) -> tuple[str, int | None]:
    """The part a tensor belongs to, and its layer (None outside the blocks)."""
    found = re.match(r"blocks\.(\d+)\.", name)
    part = next(part for part, pattern in _PLACES if re.match(pattern, name))
    return part, int(found[1]) if found else None


def tabulate(opened: Opened, measured: list[Measured]) -> dict[str, Any]:
    """JSON: `{"total", "active", "bytes", "parts": [...], "layers": [...], "tensors": [...]}` (docs/guides/inspect.md).

    `total` and `active` count weights; what balances the load without a gradient is in its part, not in them.
    """
    counted = count.parameters(opened.config, opened.vocab_size)
    by_part: dict[str, Sums] = {}
    by_layer: dict[int, dict[str, Sums]] = {}
    sizes = dict.fromkeys(PARTS, 0)
    for tensor in measured:
        by_part[tensor.part] = by_part.get(tensor.part, Sums()) + tensor.sums
        sizes[tensor.part] += tensor.bytes
        if tensor.layer is not None:
            row = by_layer.setdefault(tensor.layer, {})
            row[tensor.part] = row.get(tensor.part, Sums()) + tensor.sums
    everything = sum(found.numbers for found in by_part.values())
    return {
        "total": counted.total,
        "active": counted.active,
        "bytes": sum(sizes.values()),
        "parts": [
            {"part": part, "parameters": by_part[part].numbers, "bytes": sizes[part],
             "share": by_part[part].numbers / everything, "rms": by_part[part].rms}
            for part in PARTS if part in by_part
        ],
        "layers": [
            {"layer": layer} | {part: found.rms for part, found in row.items()}
            for layer, row in sorted(by_layer.items())
        ],
        "tensors": [tensor.table() for tensor in measured],
    }  # fmt: skip


def findings(measured: list[Measured]) -> list[dict[str, str]]:
    """What is wrong with tensors: `{"tensor", "kind", "text"}`, kind `not_finite` or `dead`."""
    found = []
    for tensor in measured:
        if bad := tensor.sums.not_finite:
            found.append({"tensor": tensor.name, "kind": "not_finite", "text": f"{bad} numbers are NaN or infinite"})
        if not _may_be_zero(tensor):
            pieces = [(f"expert {e}: ", part) for e, part in enumerate(tensor.experts)] or [("", tensor.sums)]
            dead = [where + text for where, part in pieces if (text := _dead(part, tensor.shape))]
            found += [{"tensor": tensor.name, "kind": "dead", "text": text} for text in dead]
    return found


def _may_be_zero(tensor: Measured) -> bool:
    """Balancing biases begin at zero, and a router with one expert has nothing to say."""
    return tensor.name.endswith("balance_bias") or (tensor.part == "router" and tensor.shape[0] == 1)


def _dead(part: Sums, shape: tuple[int, ...]) -> str:
    if part.numbers and part.largest == 0 and not part.not_finite:
        return "every weight is zero"
    if not part.zero_rows:
        return ""
    return f"{part.zero_rows} of {part.numbers // shape[-1]} rows are all zero"
