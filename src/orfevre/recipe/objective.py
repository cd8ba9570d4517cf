"""What `orfevre fit --optimise` is asked: a target and the limits a mixture must keep. One TOML file."""

from typing import Self

from pydantic import Field, model_validator

from .base import Fraction, NonNegative, Positive, Section
from .mix import Group


class Objective(Section):
    target: dict[str, Fraction]
    """Weights over the table's losses, summing to 1."""

    natural: dict[str, Fraction] = Field(default={})
    """Shares of the sources as they come; the baseline, and the centre of trust_ratio. Uniform where not given."""

    min_weights: dict[str, Fraction] = Field(default={})
    """Least share of a source."""

    max_weights: dict[str, Fraction] = Field(default={})
    """Largest share of a source."""

    groups: tuple[Group, ...] = ()
    """Limits on what several sources make up together."""

    trust_ratio: NonNegative = 0.0
    """Keep each share between natural / trust_ratio and natural x trust_ratio; 0 sets no such limit."""

    num_tokens: NonNegative = 0.0
    """Tokens of the run the mixture is for; with `available`, a source's share is held to what there is."""

    available: dict[str, NonNegative] = Field(default={})
    """Tokens there are of a source."""

    max_epochs: Positive = 4.0
    """How many times the run may read each source. Up to 4 costs almost nothing (arXiv 2305.16264)."""

    max_losses: dict[str, float] = Field(default={})
    """Losses that must not be exceeded, as the surrogate expects them: "code no worse than x"."""

    pareto: tuple[str, ...] = Field(default=(), max_length=2)
    """Two losses whose front is wanted: what the one costs the other."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.target or abs(sum(self.target.values()) - 1.0) > 1e-6:
            raise ValueError(f"target weights sum to {sum(self.target.values()):g}; they must sum to 1")
        if self.natural and abs(sum(self.natural.values()) - 1.0) > 0.02:
            raise ValueError(f"natural shares sum to {sum(self.natural.values()):g}; they must sum to 1")
        if len(self.pareto) == 1:
            raise ValueError("pareto names one loss; name two")
        if 0 < self.trust_ratio <= 1:
            raise ValueError(f"trust_ratio {self.trust_ratio:g} leaves nothing but the natural mixture; give 2 or more")
        if self.available and not self.num_tokens:
            raise ValueError("available says how many tokens there are; num_tokens must say how many the run reads")
        return self
