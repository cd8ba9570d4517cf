"""Small runs beyond the design: batches where the best may lie, a ladder of larger sizes, the check."""

from pydantic import Field

from .base import Count, Positive, Section
from .model import Model, Training


class Batches(Section):
    """Proxies beyond the design, a few at a time, where the loss is expected to be least."""

    most: int = Field(default=0, ge=0)
    """Batches at most; 0 is none. They end early when another proxy is not worth its cost, or not needed."""

    runs: Count = 4
    """Proxies of a batch."""

    epsilon: Positive = 0.002
    """Target loss (bits per byte) within which of the best a mixture is as good."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Stop when the chosen mixture is within epsilon of the best with this probability."""

    exponent: Positive = 0.05
    """Loss falls as compute to this power (arXiv 2001.08361, section 1.2): what an improvement of the loss is worth in
    compute of the target run. Stop when that is less than a proxy costs."""


class Rung(Section):
    """A larger size at which a few mixtures are run, to bend what the proxies say."""

    model: Model
    """Shape of its models."""

    training: Training
    """Budget of one of its runs."""

    runs: int = Field(default=6, ge=3, le=64)
    """Mixtures that are run at this size."""


class Check(Section):
    """Fresh runs of the chosen mixture and its rivals, on equal budgets and equal seeds."""

    seeds: int = Field(default=3, ge=2)
    """Seeds of each mixture."""

    model: Model | None = None
    """Shape of the models that are compared; the proxies' where not given."""

    training: Training | None = None
    """Budget of one of them; the proxies' where not given."""
