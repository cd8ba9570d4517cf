"""bill.json: what a run takes and costs. The layout is docs/reference/artefacts.md's."""

from pydantic import BaseModel, ConfigDict

Interval = tuple[float | None, float | None]
"""Low and high end; None for an end that could not be had."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FarmBill(_Part):
    """What one run is priced on."""

    gpu: str
    count: int
    peak_tflops: float
    """Dense bf16 peak of one accelerator, of a processor float32, 1e12 FLOP/s."""
    memory_gib: float
    watts: float
    """One accelerator with its share of the host."""
    mfu: float
    pue: float
    euros_per_gpu_hour: float
    """Rent, or write-off and electricity."""
    cost: str
    """How an hour's price was made, in words."""
    co2_grams_per_kwh: float
    source: str
    """Where the accelerator's figures are from."""


class MemoryBill(_Part):
    """GiB on one accelerator."""

    weights: float
    gradients: float
    optimiser: float
    activations: float
    total: float
    available: float


class WrongMix(_Part):
    """What reaching the chosen mixture's loss with the natural mixture would cost on top of the run."""

    compute_ratio: float | None
    interval: Interval | None
    gpu_hours: float | None
    gpu_hours_interval: Interval | None
    euros: float | None
    euros_interval: Interval | None
    text: str


class RunBill(_Part):
    name: str
    farm: FarmBill
    parameters: int
    active_parameters: int
    tokens: int
    flops_per_token: float
    flops: float
    gpu_hours: float
    hours: float
    euros: float
    kwh: float
    co2_kg: float
    memory_gib: MemoryBill
    fits: bool
    wrong_mix: WrongMix | None
    """None before a mixture is measured."""


class Bill(_Part):
    runs: tuple[RunBill, ...]
    """This recipe's training run, then `plan.scale_up` if there is one."""
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    """What is worth knowing and is no cause for worry."""
    warnings: tuple[str, ...]
