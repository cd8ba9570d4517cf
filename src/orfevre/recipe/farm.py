"""The farms that the plan prices runs on, and a larger run to price beside this one."""

from pydantic import Field

from .base import Count, Fraction, NonNegative, Positive, Section
from .model import Model


class Farm(Section):
    gpu: str = "H100-SXM"
    """An accelerator known by name (docs/concepts/bill.md lists them), or any name with the three figures below."""

    count: Count = 8
    """Accelerators."""

    peak_tflops: NonNegative = 0.0
    """Dense bf16 peak of one, TFLOP/s; 0 takes the table's."""

    memory_gib: NonNegative = 0.0
    """Memory of one, GiB; 0 takes the table's."""

    watts: NonNegative = 0.0
    """Power of one with its share of the host under load, watts; 0 takes the table's."""

    mfu: float = Field(default=0.4, gt=0.0, le=1.0)
    """Model FLOPs utilisation expected: useful FLOP/s over peak."""

    rent_euros_per_hour: NonNegative = 0.0
    """Rent of one for an hour; 0 when the farm is bought."""

    buy_euros: NonNegative = 0.0
    """Price of one with its share of host and network; 0 when the farm is rented."""

    lifetime_years: Positive = 4.0
    """Years over which a bought accelerator is written off."""

    busy_fraction: float = Field(default=0.7, gt=0.0, le=1.0)
    """Share of its lifetime that a bought accelerator does paid work."""

    pue: float = Field(default=1.2, ge=1.0)
    """Power usage effectiveness of the data centre."""

    electricity_euros_per_kwh: NonNegative = 0.15
    """Price of electricity; added to the cost of a bought farm (a rent includes it)."""

    co2_grams_per_kwh: NonNegative = 50.0
    """Carbon intensity of the grid; about 50 in France."""


class ScaleUp(Section):
    """A larger run that the same mixture would feed, priced on its own farm or on plan.farm."""

    name: str = "scale-up"
    """How the bill calls it."""

    model: Model
    """Its shape; vocab_size must be given."""

    tokens: Count
    """Its training tokens."""

    sequence_length: Count = 4096
    """Its sequence length, for the attention FLOPs."""

    farm: Farm | None = None
    """Its farm; none by default takes plan.farm."""


class Plan(Section):
    farm: Farm = Farm()
    """What this recipe's training run is priced on."""

    scale_up: ScaleUp | None = None
    """A larger run to price beside this one; none by default."""

    max_overhead_fraction: Fraction = 0.1
    """Added to the hours for restarts, evaluation and checkpoints."""
