"""How the mixture is chosen: proxies, target, limits, and the check that follows."""

from typing import Self

from pydantic import Field, model_validator

from .base import Count, Fraction, Name, Positive, Section
from .model import Model, Training
from .trials import Batches, Check, Rung

LEAST_ROOM = 0.01
"""Between the least and the largest share of a group."""

ARMS = ("chosen", "natural", "uniform")
"""Mixtures that every check trains."""

TAKEN = (*ARMS, "proxy", "repeat", "batch", "ladder", "budget")
"""Kinds of small runs, which no baseline may be called."""


class Group(Section):
    """Sources whose shares are limited together: those of one licence, one language, one owner."""

    name: Name
    """What it is called in the report."""

    sources: tuple[Name, ...] = Field(min_length=1)
    """Its members; a source that is split by `domains` stands for all its parts."""

    min_weight: Fraction = 0.0
    """Least share of all of them together."""

    max_weight: Fraction = 1.0
    """Largest share of all of them together; 0.01 or more above min_weight."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.max_weight - self.min_weight < LEAST_ROOM:
            raise ValueError(
                f"group {self.name} must have max_weight {self.max_weight:g} at least {LEAST_ROOM} above min_weight "
                f"{self.min_weight:g}"
            )
        return self


class Mix(Section):
    target: dict[Name, Fraction]
    """What the model should be good at: weights over the sources' held-out text, summing to 1. What a source
    that is split by `domains` has is divided evenly over its parts."""

    num_proxies: int = Field(default=32, ge=8)
    """Small runs, each on its own mixture."""

    repeats: int = Field(default=4, ge=0)
    """Extra runs with other seeds, of the natural and the uniform mixture in turn; they measure the noise."""

    proxy: Model = Model(hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=128, num_experts=4)
    """Shape of a proxy."""

    training: Training = Training()
    """Budget of one proxy."""

    stack: int = Field(default=0, ge=0, le=256)
    """Proxies, check runs and others of one size trained at once in one process, their weights side by side; 0 takes
    up to 8 where their steps are small enough for it to be faster, 1 trains each alone. What is learnt is the same."""

    batches: Batches = Batches()
    """More proxies where the best mixture may be."""

    ladder: tuple[Rung, ...] = ()
    """Larger sizes, from small to large, that tell how the proxies' losses change with scale."""

    min_weights: dict[Name, Fraction] = Field(default={})
    """Least share of a source in the chosen mixture; of one that is split by `domains`, of its parts together."""

    max_weights: dict[Name, Fraction] = Field(default={})
    """Largest share of a source in the chosen mixture; of one that is split by `domains`, of its parts together."""

    groups: tuple[Group, ...] = ()
    """Limits on what several sources make up together."""

    trust_ratio: float = Field(default=0.0, ge=0.0)
    """Keep each share between natural / trust_ratio and natural x trust_ratio (2 or more is sensible); 0 sets no such
    limit. Sources' own limits win where they leave no room."""

    max_losses: dict[Name, Positive] = Field(default={})
    """Losses, in bits per byte, that the chosen mixture must not exceed as far as can be told: "code no worse than x".
    At the ladder's last size, or the proxies' where there is no ladder."""

    pareto: tuple[Name, ...] = Field(default=(), max_length=2)
    """Two sources whose front of losses is wanted: what the one costs the other."""

    baselines: dict[Name, dict[Name, Fraction]] = Field(default={})
    """Mixtures made by hand, each a share for every source it reads; the check trains them beside the chosen one. What
    a source that is split by `domains` has is divided evenly over its parts."""

    check: Check = Check()
    """Whether the chosen mixture is what was promised."""

    price_budgets: tuple[float, ...] = (0.5, 2.0)
    """Natural-mixture budgets, as multiples of the check's tokens, that measure what more compute buys."""

    confidence: float = Field(default=0.9, gt=0.5, lt=1.0)
    """Coverage of every interval that is reported."""

    validation_tokens: Count = 65_536
    """Held-out tokens per source that a proxy is measured on."""

    @model_validator(mode="after")
    def _target_sums_to_one(self) -> Self:
        total = sum(self.target.values())
        if not self.target or abs(total - 1.0) > 1e-6:
            raise ValueError(f"target weights sum to {total:g}; they must sum to 1")
        return self

    @model_validator(mode="after")
    def _baselines_are_mixtures(self) -> Self:
        for name, weights in self.baselines.items():
            if name in TAKEN:
                raise ValueError(f"baselines.{name}: small runs of another kind are called that; rename it")
            if abs(total := sum(weights.values()) - 1.0) > 1e-6:
                raise ValueError(f"baselines.{name}: the shares sum to {total + 1:g}; they must sum to 1")
        if len(self.pareto) == 1 or len(set(self.pareto)) < len(self.pareto):
            raise ValueError(f"pareto {self.pareto} must name two different sources, or none")
        return self

    @model_validator(mode="after")
    def _ratio_is_a_ratio(self) -> Self:
        if 0 < self.trust_ratio <= 1:
            raise ValueError(f"trust_ratio {self.trust_ratio:g} leaves nothing but the natural mixture; give 2 or more")
        return self

    @model_validator(mode="after")
    def _limits_leave_room(self) -> Self:
        if (least := sum(self.min_weights.values())) > 1.0 + 1e-9:
            raise ValueError(f"min_weights sum to {least:g}, more than 1; lower some of them")
        for name, low in self.min_weights.items():
            if low > (high := self.max_weights.get(name, 1.0)):
                raise ValueError(f"min_weights.{name} = {low} exceeds max_weights.{name} = {high}")
        if any(budget <= 0 for budget in self.price_budgets):
            raise ValueError(f"price_budgets {self.price_budgets} must all be above 0")
        return self
