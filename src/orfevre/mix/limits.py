"""Which mixtures are allowed: a box around each source's share, cut by "the shares sum to 1"."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orfevre.errors import RecipeError
from orfevre.mix.gp import Array
from orfevre.recipe import Recipe

TOLERANCE = 1e-9
"""How far a share may miss a limit, and the sum miss 1."""

WIDENING = 2.0
"""The design explores limits this many times looser, so that the surrogate does not end where the choice may lie."""


@dataclass(frozen=True)
class Limits:
    """low <= w <= high and sum(w) = 1, over `sources`; not empty (`of_recipe` refuses an empty one)."""

    sources: tuple[str, ...]
    low: Array
    high: Array

    def contains(self, weights: Array) -> bool:
        """Whether the mixture [S] keeps every limit to within TOLERANCE."""
        inside = np.all(weights >= self.low - TOLERANCE) and np.all(weights <= self.high + TOLERANCE)
        return bool(inside and abs(float(np.sum(weights)) - 1.0) <= TOLERANCE)

    def project(self, weights: Array) -> Array:
        """The nearest allowed mixture (Euclid) of each row [m, S], or of one mixture [S].

        It is clip(w - t, low, high) with the t that makes it sum to 1; the sum falls as t rises, so t is bisected.
        """
        rows = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        left = np.min(rows - self.high, axis=1, keepdims=True)
        right = np.max(rows - self.low, axis=1, keepdims=True)
        for _ in range(60):
            middle = (left + right) / 2
            above = np.sum(np.clip(rows - middle, self.low, self.high), axis=1, keepdims=True) > 1.0
            left, right = np.where(above, middle, left), np.where(above, right, middle)
        found = np.clip(rows - (left + right) / 2, self.low, self.high)
        found = self._close(found)
        return found[0] if np.ndim(weights) == 1 else found

    def binding(self, weights: Array) -> list[str]:
        """Sources held at a limit that is not the simplex's own (a share of 0 without a minimum is not a limit)."""
        at_low = (self.low > 0) & (weights <= self.low + 1e-6)
        at_high = (self.high < 1) & (weights >= self.high - 1e-6)
        return [name for name, held in zip(self.sources, at_low | at_high, strict=True) if held]

    def widened(self) -> "Limits":
        """What the design explores: minima halved, maxima doubled; a source without text stays out."""
        return Limits(self.sources, self.low / WIDENING, np.minimum(1.0, self.high * WIDENING))

    def simplex(self) -> "Limits":
        """No limits but those of a mixture; a source without text stays out."""
        return Limits(self.sources, np.zeros_like(self.low), np.where(self.high > 0, 1.0, 0.0))

    def _close(self, rows: Array) -> Array:
        """Hand what bisection left over (about 1e-16) to the shares that have room for it."""
        missing = 1.0 - np.sum(rows, axis=1, keepdims=True)
        room = np.where(missing > 0, self.high - rows, rows - self.low)
        total = np.sum(room, axis=1, keepdims=True)
        moved = rows + room * missing / np.where(total > 0, total, 1.0)
        return np.asarray(np.clip(moved, self.low, self.high))


def of_recipe(recipe: Recipe, train_tokens: Mapping[str, int]) -> Limits:
    """Limits from mix.min_weights, mix.max_weights and sources.max_epochs x tokens / train.tokens.

    Raises RecipeError naming every limit in conflict, with its figures and the remedy.
    """
    names = recipe.source_names
    low = np.array([recipe.mix.min_weights.get(name, 0.0) for name in names])
    supply = np.array([recipe.source(name).max_epochs * train_tokens[name] / recipe.train.tokens for name in names])
    high = np.minimum(np.array([recipe.mix.max_weights.get(name, 1.0) for name in names]), np.minimum(supply, 1.0))
    short = [name for name, least, most in zip(names, low, high, strict=True) if least > most + TOLERANCE]
    if short:
        raise RecipeError("\n".join(_too_little_text(recipe, name, train_tokens[name]) for name in short))
    if float(np.sum(high)) < 1.0 - TOLERANCE:
        raise RecipeError(_too_little_room(recipe, train_tokens, dict(zip(names, high.tolist(), strict=True))))
    low = np.minimum(low, high)
    # sums that miss 1 by rounding would leave no mixture at all
    low, high = low / max(1.0, float(np.sum(low))), high * max(1.0, 1.0 / float(np.sum(high)))
    return Limits(names, low, np.minimum(high, 1.0))


def _too_little_text(recipe: Recipe, name: str, tokens: int) -> str:
    least, epochs, total = recipe.mix.min_weights[name], recipe.source(name).max_epochs, recipe.train.tokens
    return (
        f"mix.min_weights.{name} = {least:g} of train.tokens {total:,} is {least * total:,.0f} tokens, but {name} has "
        f"{tokens:,} training tokens x max_epochs {epochs:g} = {tokens * epochs:,.0f}, a share of "
        f"{tokens * epochs / total:.4f}. Give it more text, raise its "
        f"max_epochs to {least * total / max(tokens, 1):.1f}, "
        f"lower train.tokens to {int(tokens * epochs / least):,}, or lower the minimum"
    )


def _too_little_room(recipe: Recipe, train_tokens: Mapping[str, int], high: Mapping[str, float]) -> str:
    total = recipe.train.tokens
    lines = [f"train.tokens = {total:,}: the largest allowed shares sum to {sum(high.values()):.4f}, less than 1:"]
    supplied = 0.0
    for name, most in high.items():
        epochs, cap = recipe.source(name).max_epochs, recipe.mix.max_weights.get(name, 1.0)
        supply = epochs * train_tokens[name]
        supplied += min(supply, cap * total)
        why = f"{train_tokens[name]:,} tokens x max_epochs {epochs:g}"
        lines.append(f"  {name}: {most:.4f} ({f'mix.max_weights.{name} = {cap:g}' if cap * total <= supply else why})")
    remedy = "Give more text, raise max_epochs or mix.max_weights"
    if not recipe.mix.max_weights:
        remedy += f", or lower train.tokens to {int(supplied):,}"
    return "\n".join([*lines, remedy])
