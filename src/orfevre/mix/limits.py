"""Which mixtures are allowed: a box around each source's share, cut by "the shares sum to 1" and by caps on groups."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import linprog

from orfevre.mix.gp import Array

TOLERANCE = 1e-9
"""How far a share may miss a limit, and the sum miss 1."""

ROUNDING = 1e-12
"""A cap missed by less is kept: sums of shares are no more exact than that."""

WIDENING = 2.0
"""The design explores limits this many times looser, so that the surrogate does not end where the choice may lie."""


SWEEPS = 20
"""Rounds of projections in turn; what they leave is mended by a step inwards."""


@dataclass(frozen=True)
class Cap:
    """Limits on what several sources make up together: low <= sum of members' shares <= high."""

    name: str
    members: Array
    """1 for a source that counts, else 0, [S]."""
    low: float
    high: float


@dataclass(frozen=True)
class Limits:
    """low <= w <= high and sum(w) = 1, over `sources`, and the groups' caps; not empty (allowed.py refuses that)."""

    sources: tuple[str, ...]
    low: Array
    high: Array
    groups: tuple[Cap, ...] = ()

    def contains(self, weights: Array) -> bool:
        """Whether the mixture [S] keeps every limit to within TOLERANCE."""
        inside = np.all(weights >= self.low - TOLERANCE) and np.all(weights <= self.high + TOLERANCE)
        grouped = all(cap.low - TOLERANCE <= cap.members @ weights <= cap.high + TOLERANCE for cap in self.groups)
        return bool(inside and grouped and abs(float(np.sum(weights)) - 1.0) <= TOLERANCE)

    def project(self, weights: Array) -> Array:
        """An allowed mixture near each row [m, S], or near one mixture [S]; itself where it is allowed.

        Without groups it is the nearest (Euclid). With them it is nearly that: projections onto the box and onto each
        cap in turn (Dykstra 1983), then a last step towards a mixture inside, which keeps every cap exactly.
        """
        rows = self._onto_box(np.atleast_2d(np.asarray(weights, dtype=np.float64)))
        if self.groups:
            rows = self._inwards(self._alternate(rows))
        return rows[0] if np.ndim(weights) == 1 else rows

    def binding(self, weights: Array) -> list[str]:
        """Sources and groups held at a limit that is not the simplex's own (a share of 0 without a minimum is none)."""
        at_low = (self.low > 0) & (weights <= self.low + 1e-6)
        at_high = (self.high < 1) & (weights >= self.high - 1e-6)
        held = [name for name, on in zip(self.sources, at_low | at_high, strict=True) if on]
        sums = [(cap, float(cap.members @ weights)) for cap in self.groups]
        return held + [
            cap.name
            for cap, total in sums
            if (cap.low > 0 and total <= cap.low + 1e-6) or (cap.high < 1 and total >= cap.high - 1e-6)
        ]

    def widened(self) -> "Limits":
        """What the design explores: minima halved, maxima doubled; a source without text stays out."""
        groups = tuple(
            replace(cap, low=cap.low / WIDENING, high=min(1.0, cap.high * WIDENING)) for cap in self.groups
        )  # fmt: skip
        return Limits(self.sources, self.low / WIDENING, np.minimum(1.0, self.high * WIDENING), groups)

    def simplex(self) -> "Limits":
        """No limits but those of a mixture; a source without text stays out."""
        return Limits(self.sources, np.zeros_like(self.low), np.where(self.high > 0, 1.0, 0.0))

    def rows(self) -> tuple[Array, Array, Array]:
        """Every limit but the box as lower <= A w <= upper: A [1 + G, S], the ends [1 + G]; the sum first."""
        table = np.vstack([np.ones((1, len(self.low))), *(cap.members[None] for cap in self.groups)])
        return table, np.array([1.0, *(g.low for g in self.groups)]), np.array([1.0, *(g.high for g in self.groups)])

    @cached_property
    def middle(self) -> Array | None:
        """A mixture that keeps the caps with the most to spare, [S]; None where none keeps them. A linear program."""
        table, lower, upper = self.rows()
        size, caps = len(self.low), table[1:]
        slack = np.ones((len(caps), 1))
        found = linprog(
            np.concatenate([np.zeros(size), [-1.0]]),  # the last unknown is what is to spare
            A_ub=np.vstack([np.hstack([caps, slack]), np.hstack([-caps, slack])]) if len(caps) else None,
            b_ub=np.concatenate([upper[1:], -lower[1:]]) if len(caps) else None,
            A_eq=np.hstack([table[:1], [[0.0]]]),
            b_eq=[1.0],
            bounds=[*zip(self.low.tolist(), self.high.tolist(), strict=True), (None, 1.0)],
            method="highs",
        )
        if not found.success or found.x is None or found.x[-1] < -TOLERANCE:
            return None
        return np.asarray(self._onto_box(found.x[None, :size])[0])

    def _onto_box(self, rows: Array) -> Array:
        """Nearest mixtures of the box: clip(w - t, low, high) with the t that makes it sum to 1; the sum falls as t
        rises, so t is bisected."""
        left = np.min(rows - self.high, axis=1, keepdims=True)
        right = np.max(rows - self.low, axis=1, keepdims=True)
        for _ in range(60):
            middle = (left + right) / 2
            above = np.sum(np.clip(rows - middle, self.low, self.high), axis=1, keepdims=True) > 1.0
            left, right = np.where(above, middle, left), np.where(above, right, middle)
        return self._close(np.clip(rows - (left + right) / 2, self.low, self.high))

    def _alternate(self, rows: Array) -> Array:
        """Dykstra's projections in turn, SWEEPS times: near the nearest allowed mixture, caps kept to a few digits."""
        corrections = [np.zeros_like(rows) for _ in self.groups]
        for _ in range(SWEEPS):
            for place, cap in enumerate(self.groups):
                moved = rows + corrections[place]
                total = moved @ cap.members
                step = (np.clip(total, cap.low, cap.high) - total) / np.sum(cap.members)
                onto = moved + step[:, None] * cap.members
                corrections[place] = moved - onto
                rows = onto
            rows = self._onto_box(rows)
        return rows

    def _inwards(self, rows: Array) -> Array:
        """Rows moved straight towards the middle until every cap is kept."""
        middle = self.middle
        assert middle is not None, "allowed.of_recipe refuses limits that no mixture keeps"
        reach = np.ones(len(rows))
        for cap in self.groups:
            start, total = float(cap.members @ middle), rows @ cap.members
            beyond = np.maximum(total - cap.high, cap.low - total)
            room = np.where(total > cap.high, cap.high - start, start - cap.low)
            away = np.abs(total - start)
            reach = np.where(
                beyond > ROUNDING, np.minimum(reach, np.maximum(room, 0.0) / np.maximum(away, 1e-300)), reach
            )
        moved = middle + reach[:, None] * (rows - middle)
        return np.where((reach < 1.0)[:, None], self._close(np.clip(moved, self.low, self.high)), rows)

    def _close(self, rows: Array) -> Array:
        """Hand what bisection left over (about 1e-16) to the shares that have room for it."""
        missing = 1.0 - np.sum(rows, axis=1, keepdims=True)
        room = np.where(missing > 0, self.high - rows, rows - self.low)
        total = np.sum(room, axis=1, keepdims=True)
        moved = rows + room * missing / np.where(total > 0, total, 1.0)
        return np.asarray(np.clip(moved, self.low, self.high))
