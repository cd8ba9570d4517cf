"""The words of a bill: what was assumed, what is worth knowing, what must be looked at."""

from collections.abc import Mapping, Sequence

from orfevre.recipe import Source

from .bill import RunBill
from .job import Job

GENERAL_PURPOSE_FLOPS = 1e23
"""Above it a model that generates language is likely general-purpose (Commission guidelines C(2025) 7719)."""
SYSTEMIC_RISK_FLOPS = 1e25
"""Above it systemic risk is presumed (Regulation (EU) 2024/1689, Art. 51(2))."""
COMPUTE_OPTIMAL_TOKENS = 20
"""Tokens a parameter that spend training compute best, for dense models (arXiv 2203.15556)."""


def assumptions(jobs: Sequence[Job], overhead_fraction: float, usable_memory: float) -> tuple[str, ...]:
    """What the figures rest on; a line for each run says what was assumed of its farm."""
    return (
        "FLOPs: 6 for each matrix weight a token meets (attention, its experts, router, output projection) plus "
        "attention halved for causality, PaLM appendix B (arXiv 2204.02311); recomputation is not counted.",
        "Hours: FLOPs over peak x MFU (expected and not measured), plus "
        f"{overhead_fraction:.0%} for restarts, evaluation and checkpoints.",
        "Energy: the power of accelerator and host under full load for every hour, times PUE; CO2 is the grid's, for "
        "use of the farm only, not its making.",
        *(
            f"{job.name}, on {job.farm.count:,} x {job.farm.gpu}: MFU {job.farm.mfu:g} ({job.farm_path}.mfu), "
            f"PUE {job.farm.pue:g}, CO2 at {job.farm.co2_grams_per_kwh:g} g/kWh."
            for job in jobs
        ),
        "Memory: float32 master weights, gradients and AdamW moments sharded over the whole farm (FSDP), products "
        "in bfloat16, one sequence at a time, each block's inside recomputed.",
        f"Memory: {usable_memory:.0%} of what the data sheet says may be filled.",
        "Curation, proxies, evaluation and people are not in the euros.",
    )


def notes(job: Job, run: RunBill) -> list[str]:
    """Facts about one run: AI Act thresholds, length for its size, how much of its farm it fills, what euros are."""
    farm = job.farm
    per_parameter = run.tokens / run.active_parameters
    fewer = (
        f"{run.name}: a step has {job.batch_sequences} sequences, so it fills {job.num_devices} of the farm's "
        f"{farm.count:,} x {farm.gpu}; hours and memory are for those."
    )
    electricity = (
        f"{run.name}: its euros are electricity alone, as for a machine one already owns; {job.farm_path} has neither "
        "rent_euros_per_hour nor buy_euros."
    )
    return [
        f"{run.name}: {run.flops:.2g} FLOP, {_threshold(run.flops)}",
        f"{run.name}: {per_parameter:.3g} tokens for each active parameter; about {COMPUTE_OPTIMAL_TOKENS} spend "
        "training compute best (arXiv 2203.15556, dense models), more makes a better model to serve.",
        *([fewer] if job.num_devices < farm.count else []),
        *([] if farm.rent_euros_per_hour or farm.buy_euros else [electricity]),
    ]


def warnings(job: Job, run: RunBill) -> list[str]:
    """What would stop the run."""
    if run.fits:
        return []
    return [
        f"{run.name} does not fit: {run.memory_gib.total:.1f} GiB needed on each {run.farm.gpu}, "
        f"{run.memory_gib.available:.1f} available. Raise {job.farm_path}.count or take one with more memory."
    ]


def epochs(
    job: Job, sources: Sequence[Source], weights: Mapping[str, float], tokens_by_source: Mapping[str, int]
) -> list[str]:
    """A line for each source that the run would read more often than the recipe allows."""
    found = []
    for source in sources:
        wanted, held = weights.get(source.name, 0.0) * job.tokens, tokens_by_source.get(source.name, 0)
        if wanted > source.max_epochs * held * 1.001:  # the mixture's weights are rounded
            times = f"{float(f'{wanted / held:.3g}'):,g} times" if held else "though it has none"
            found.append(
                f"{job.name}: takes {wanted:,.0f} tokens of {source.name}, which holds {held:,} ({times}; "
                f"max_epochs is {source.max_epochs:g}). Find more of it, or train on fewer tokens."
            )
    return found


def text_to_find(job: Job, sources: Sequence[Source], tokens_by_source: Mapping[str, int]) -> str:
    """A larger run is priced before its text is gathered: how much of it is here."""
    held = sum(tokens_by_source.get(source.name, 0) for source in sources)
    readable = sum(tokens_by_source.get(source.name, 0) * source.max_epochs for source in sources)
    return (
        f"{job.name}: reads {job.tokens:,} tokens; the sources hold {held:,}, which may be read as "
        f"{readable:,.0f} (max_epochs). {'It needs more text.' if readable < job.tokens else 'That is enough.'}"
    )


def _threshold(flops: float) -> str:
    if flops > SYSTEMIC_RISK_FLOPS:
        return "above 1e25: systemic risk is presumed under the EU AI Act, with a notice due within two weeks."
    if flops > GENERAL_PURPOSE_FLOPS:
        return "above 1e23 and below 1e25: likely a general-purpose model under the EU AI Act."
    return "below 1e23: likely not a general-purpose model under the EU AI Act (and below 1e25)."
