"""Runs that were trained elsewhere, as a CSV file, and mixtures to ask about.

Columns: `weight.<source>` (shares), `loss.<target>` (runs only), optional `run`, `num_params`, `num_tokens`; others are
left alone. Shapes: n runs, S sources, J targets.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orfevre.errors import InputError
from orfevre.mix.gp import Array

ROUNDED = 0.02
"""Shares are often written with three digits; a row may miss 1 by this much and is brought to it."""

FEWEST = 8
"""Different mixtures below which nothing is fitted."""

WEIGHT, LOSS, PARAMS, TOKENS = "weight.", "loss.", "num_params", "num_tokens"


@dataclass(frozen=True)
class Mixtures:
    """Rows of shares and the file's own cells, to be given back with what is said of them."""

    sources: tuple[str, ...]
    weights: Array
    """[n, S], rows summing to 1."""
    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    """What was done to the rows, for people."""


@dataclass(frozen=True)
class Runs:
    """Measured runs."""

    mixtures: Mixtures
    targets: tuple[str, ...]
    losses: Array
    """[n, J]."""
    scales: Array
    """Parameters and training tokens of each run, [n, 2]; zeros where the file does not say."""

    @property
    def weights(self) -> Array:
        return self.mixtures.weights


def read_runs(path: Path) -> Runs:
    """Raises InputError naming the line, the column and the remedy."""
    header, rows = _read(path)
    targets = _columns(path, header, LOSS, 1)
    losses = _numbers(path, header, rows, [LOSS + name for name in targets])
    mixtures = _mixtures(path, header, rows)
    named = [name for name in (PARAMS, TOKENS) if name in header]
    if len(named) == 1:
        raise InputError(f"{path}: has {named[0]} but not its twin; give both {PARAMS} and {TOKENS}, or neither")
    scales = _numbers(path, header, rows, named) if named else np.zeros((len(rows), 2))
    runs = Runs(mixtures, targets, losses, scales)
    _require_variation(path, runs)
    return _without_copies(runs)


def has_losses(path: Path) -> bool:
    """Whether its runs were measured. Raises InputError where it cannot be read."""
    header, _ = _read(path)
    return any(name.startswith(LOSS) for name in header)


def read_mixtures(path: Path, sources: Sequence[str] | None = None) -> Mixtures:
    """Candidates with the shares of `sources`, brought into that order (of its own sources where none are given).
    Raises InputError for others."""
    header, rows = _read(path)
    found = _mixtures(path, header, rows)
    if sources is None:
        return found
    missing, more = set(sources) - set(found.sources), set(found.sources) - set(sources)
    if missing or more:
        raise InputError(
            f"{path}: its sources are not those of the runs: "
            f"{', '.join(f'no {WEIGHT}{name}' for name in sorted(missing))}"
            f"{'; ' if missing and more else ''}{', '.join(f'{WEIGHT}{name} is unknown' for name in sorted(more))}"
        )
    order = [found.sources.index(name) for name in sources]
    return Mixtures(tuple(sources), found.weights[:, order], found.header, found.cells, found.notes)


def _read(path: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [tuple(row) for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cause = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as CSV ({cause})") from None
    if len(rows) < 2:
        raise InputError(f"{path}: needs a header and at least one row")
    header = tuple(name.strip() for name in rows[0])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{path}: two columns are named {twice[0]!r}; rename or remove one")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(f"{path}: row {number} has {len(row)} cells, the header has {len(header)}")
    return header, rows[1:]


def _columns(path: Path, header: Sequence[str], prefix: str, least: int) -> tuple[str, ...]:
    names = tuple(name[len(prefix) :] for name in header if name.startswith(prefix) and len(name) > len(prefix))
    if len(names) < least:
        raise InputError(
            f"{path}: {len(names)} columns named {prefix}<name>, at least {least} wanted; its columns are "
            f"{', '.join(header[:12])}{' ...' if len(header) > 12 else ''}"
        )
    return names


def _numbers(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str]) -> Array:
    """Cells of these columns, [n, len(names)]."""
    places = [header.index(name) for name in names]
    table = np.empty((len(rows), len(names)))
    for number, row in enumerate(rows):
        for column, place in enumerate(places):
            try:
                table[number, column] = float(row[place])
            except ValueError:
                table[number, column] = np.nan
            if not np.isfinite(table[number, column]):
                raise InputError(
                    f"{path}: row {number + 2}, column {names[column]}: {row[place]!r} is no finite number; "
                    "complete it, or leave the row or the column out"
                )
    return table


def _mixtures(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Mixtures:
    sources = _columns(path, header, WEIGHT, 2)
    weights = _numbers(path, header, rows, [WEIGHT + name for name in sources])
    if np.any(weights < 0):
        row, column = np.argwhere(weights < 0)[0].tolist()
        raise InputError(
            f"{path}: row {row + 2}, column {WEIGHT}{sources[column]}: {weights[row, column]:g} is below 0"
        )
    sums = weights.sum(axis=1)
    if np.any(off := np.abs(sums - 1) > ROUNDED):
        row = int(np.flatnonzero(off)[0])
        raise InputError(
            f"{path}: the shares of row {row + 2} sum to {sums[row]:.4f}, not to 1 ({int(off.sum())} such rows); "
            f"rounding up to {ROUNDED} is mended, more is not: divide each row by its sum if that is what you mean"
        )
    moved = np.abs(sums - 1) > 1e-9
    notes: tuple[str, ...] = ()
    if np.any(moved):
        low, high = sums[moved].min(), sums[moved].max()
        notes = (f"{int(moved.sum())} rows summed to {low:.7g} to {high:.7g} and were divided by their sum",)
    return Mixtures(sources, weights / sums[:, None], header, tuple(rows), notes)


def _require_variation(path: Path, runs: Runs) -> None:
    """Of the scale with the most runs, which is the one that is fitted."""
    kinds, owner, counts = np.unique(runs.scales, axis=0, return_inverse=True, return_counts=True)
    rows, sources = owner.reshape(-1) == int(np.argmax(counts)), runs.mixtures.sources
    where = " at the scale with the most runs" if len(kinds) > 1 else ""
    different = len(np.unique(np.round(runs.weights[rows], 9), axis=0))
    if different < FEWEST:
        raise InputError(
            f"{path}: {different} different mixtures{where}; at least {FEWEST} are needed, and "
            f"{2 * len(sources)} or more are wise for {len(sources)} sources"
        )
    for name, column in zip(runs.targets, runs.losses[rows].T, strict=True):
        if np.ptp(column) == 0:
            raise InputError(f"{path}: {LOSS}{name} is {column[0]:g} in every run{where}; leave the column out")


def _without_copies(runs: Runs) -> Runs:
    """Rows that are the same in shares, losses and scale are one run written twice, not a repeat."""
    table = np.hstack([runs.weights, runs.losses, runs.scales])
    _, first = np.unique(table, axis=0, return_index=True)
    kept, mixtures = np.sort(first), runs.mixtures
    notes = list(mixtures.notes)
    if len(kept) < len(table):
        notes.append(f"{len(table) - len(kept)} rows are copies of others and were counted once")
    if len(kept) < len(mixtures.sources):
        notes.append(f"{len(kept)} runs for {len(mixtures.sources)} sources: expect wide intervals")
    notes += [
        f"no run reads {name}: nothing can be said of it"
        for name, column in zip(mixtures.sources, mixtures.weights.T, strict=True)
        if not column.any()
    ]
    cells = tuple(mixtures.cells[row] for row in kept)
    told = Mixtures(mixtures.sources, mixtures.weights[kept], mixtures.header, cells, tuple(notes))
    return Runs(told, runs.targets, runs.losses[kept], runs.scales[kept])
