"""mixture.json: the choice and all that was measured about it, in the shape of docs/reference/artefacts.md."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from orfevre.mix import check, optimum, sensitivity
from orfevre.mix.check import Verdict
from orfevre.mix.choice import Choice, Problem
from orfevre.mix.gp import Array
from orfevre.mix.price import Price
from orfevre.mix.proxies import Row
from orfevre.mix.surrogate import Surrogate, spearman
from orfevre.recipe import Recipe

Table = dict[str, Any]


def mixture_table(recipe: Recipe, asked: Problem, choice: Choice, train_tokens: Mapping[str, int]) -> Table:
    """Weights, limits and baselines."""
    limits = asked.limits
    epochs = {
        name: weight * recipe.train.tokens / train_tokens[name] if weight > 0 else 0.0
        for name, weight in asked.named(choice.weights).items()
    }
    return {
        "sources": list(asked.sources),
        "target": {name: recipe.target.get(name, 0.0) for name in asked.sources},
        "confidence": recipe.mix.confidence,
        "unit": "bits per byte",
        "weights": asked.named(choice.weights),
        "intervals": pairs(asked, choice.low, choice.high),
        "limits": pairs(asked, limits.low, limits.high),
        "groups": {
            cap.name: {
                "sources": [name for name, counts in zip(asked.sources, cap.members, strict=True) if counts],
                "limits": [cap.low, cap.high],
                "weight": float(cap.members @ choice.weights),
            }
            for cap in limits.groups
        },
        "binding": limits.binding(choice.weights),
        "arms": [check.CHOSEN, *asked.rivals],
        "natural": asked.named(asked.natural),
        "uniform": asked.named(asked.uniform),
        "baselines": {name: asked.named(mixture) for name, mixture in asked.baselines.items()},
        "epochs": epochs,
        "unconstrained": asked.named(choice.unconstrained),
    }


def predicted_table(asked: Problem, choice: Choice, confidence: float) -> Table:
    """What the surrogate says of one run of each arm, its noise included."""
    mixtures = np.stack([choice.weights, *asked.rivals.values()])
    losses, target = choice.told.losses(mixtures), choice.told.mean(mixtures)
    low, high = choice.told.interval(mixtures, confidence, of_a_run=True)
    return {
        arm: {
            "target": float(target[row]),
            "interval": [float(low[row]), float(high[row])],
            "losses": dict(zip(asked.validated, losses[row].tolist(), strict=True)),
        }
        for row, arm in enumerate([check.CHOSEN, *asked.rivals])
    }


def target_losses(asked: Problem, rows: Sequence[Row]) -> Array:
    """Target loss of each row, [n]."""
    return np.asarray(asked.losses_of(rows) @ asked.target)


def measured_table(asked: Problem, arms: Mapping[str, Sequence[Row]], confidence: float) -> Table:
    """What the check measured, by arm."""
    targets = {arm: target_losses(asked, rows) for arm, rows in arms.items()}
    return {
        arm: {
            "target": float(np.mean(targets[arm])),
            "interval": list(check.mean_interval(targets, arm, confidence)),
            "runs": targets[arm].tolist(),
            "losses": dict(zip(asked.validated, asked.losses_of(arms[arm]).mean(axis=0).tolist(), strict=True)),
        }
        for arm in arms
    }


def verdict_table(verdict: Verdict) -> Table:
    return {
        "wins": verdict.wins,
        "text": verdict.text,
        "against": {arm: {"gain": one.gain, "interval": [one.low, one.high]} for arm, one in verdict.against.items()},
    }


def surrogate_table(asked: Problem, fitted: Surrogate, rows: Sequence[Row], confidence: float) -> Table:
    """Each proxy as told by other folds (repeats of one mixture fall together)."""
    mean, low, high = fitted.told(confidence)
    measured = target_losses(asked, rows)
    kept = [number for number, row in enumerate(rows) if row["kind"] != "repeat"]
    return {
        "kind": "stack",
        "cross_validation": [
            {
                "run": rows[n]["run"],
                "measured": float(measured[n]),
                "predicted": float(mean[n]),
                "low": float(low[n]),
                "high": float(high[n]),
            }
            for n in kept
        ],
        "spearman": spearman(measured[kept], mean[kept]),
        "coverage": float(np.mean(((low <= measured) & (measured <= high))[kept])),
    }


def slices_table(asked: Problem, choice: Choice, confidence: float) -> Table:
    explored = np.where(asked.limits.high > 0, asked.limits.widened().high, 0.0)
    found = optimum.slices(choice.told, choice.weights, explored, confidence)
    return {
        name: {key: values.tolist() for key, values in asdict(one).items()}
        for name, one in zip(asked.sources, found, strict=True)
    }


def sensitivity_table(asked: Problem, choice: Choice, confidence: float, seed: int) -> Table:
    """`swaps`: one point more of each source; `shadow_prices`: what each limit that binds costs."""
    rng = np.random.default_rng([seed, 3])
    change, ends = sensitivity.swaps(choice.told, choice.weights, confidence, rng)
    return {
        "swaps": {
            name: {"change": float(change[row]), "interval": ends[row].tolist()}
            for row, name in enumerate(asked.sources)
        },
        "shadow_prices": [asdict(one) for one in sensitivity.shadows(choice.told, asked.limits, choice.weights)],
    }


def price_table(asked: Problem, natural: Mapping[float, Sequence[Row]], price: Price) -> Table:
    """`natural`: rows of the natural mixture by budget."""
    return {
        "budgets": [
            {"budget": budget, "tokens": rows[0]["tokens"], "losses": target_losses(asked, rows).tolist()}
            for budget, rows in sorted(natural.items())
        ],
        "exponent": price.exponent,
        "compute_ratio": price.compute_ratio,
        "interval": [price.low, price.high],
        "extrapolated": price.extrapolated,
        "text": price.text,
    }


def pairs(asked: Problem, low: Array, high: Array) -> dict[str, list[float]]:
    return {name: [a, b] for name, a, b in zip(asked.sources, low.tolist(), high.tolist(), strict=True)}
