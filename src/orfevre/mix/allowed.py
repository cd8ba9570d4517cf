"""The recipe's limits on the mixture, and plain words for those that leave none."""

from collections.abc import Mapping

import numpy as np

from orfevre.errors import RecipeError
from orfevre.mix import conflict
from orfevre.mix.limits import TOLERANCE, Limits
from orfevre.recipe import Recipe


def of_recipe(recipe: Recipe, train_tokens: Mapping[str, int]) -> Limits:
    """Limits from mix.min_weights, mix.max_weights and sources.max_epochs x tokens / train.tokens.

    Raises RecipeError naming every limit in conflict, with its figures and the remedy.
    """
    names = recipe.source_names
    natural = np.array([train_tokens[name] for name in names]) / max(sum(train_tokens[name] for name in names), 1)
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
    found = Limits(names, low, np.minimum(high, 1.0), conflict.caps(recipe.groups, names))
    if recipe.mix.trust_ratio:
        found = conflict.trusted(found, natural, recipe.mix.trust_ratio)
    if not conflict.possible(found):
        lines = conflict.smallest(found, lambda side, place: _why(recipe, found, side, place))
        raise RecipeError("\n".join(["mix: no mixture keeps these limits together:", *lines, conflict.REMEDY]))
    return found


def _why(recipe: Recipe, limits: Limits, side: str, place: int) -> str:
    """Which key of the recipe a limit comes from."""
    name = limits.sources[place]
    asked = recipe.mix.min_weights.get(name) if side == "low" else recipe.mix.max_weights.get(name)
    bound = limits.low[place] if side == "low" else limits.high[place]
    if asked is not None and abs(asked - bound) < TOLERANCE:
        return f"mix.{'min' if side == 'low' else 'max'}_weights.{name} = {asked:g}"
    return f"mix.trust_ratio = {recipe.mix.trust_ratio:g}" if recipe.mix.trust_ratio else "its text x max_epochs"


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
