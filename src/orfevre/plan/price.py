"""The bill of a training run: hours, euros, energy and memory, from the recipe and, once measured, the mixture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orfevre.data import tokenizer
from orfevre.errors import RecipeError
from orfevre.model import count
from orfevre.recipe import Farm, Recipe

from . import accelerators, notices, wrong_mix
from .accelerators import Accelerator
from .bill import Bill, FarmBill, MemoryBill, RunBill
from .job import Job, jobs

HOURS_PER_YEAR = 8766  # 365.25 days
USABLE_MEMORY = 0.9
"""Share of an accelerator's memory that a plan may fill; the rest goes to fragments, buffers and the driver."""


def estimate(recipe: Recipe) -> Bill:
    """The bill before anything has run, without a mixture; vocabulary as the recipe or its tokenizer file has it.

    Raises RecipeError for a farm that cannot be priced, InputError for a tokenizer file that cannot be read.
    """
    vocab_size = recipe.model.vocab_size
    if not vocab_size and recipe.tokenize.file:
        vocab_size = tokenizer.load(Path(recipe.tokenize.file)).vocab_size
    return price(recipe, vocab_size or recipe.tokenize.vocab_size)


def price(
    recipe: Recipe,
    vocab_size: int,
    *,
    mixture: Mapping[str, Any] | None = None,
    tokens_by_source: Mapping[str, int] | None = None,
) -> Bill:
    """The bill of the recipe's run and of its scale-up.

    `mixture` is mixture.json and gives the price of the wrong mix; `tokens_by_source` holds the training tokens of
    each source, and with the mixture tells how often each is read. Raises RecipeError for a farm that cannot be
    priced.
    """
    work = jobs(recipe, vocab_size)
    runs = tuple(_run_bill(job, recipe.plan.max_overhead_fraction, mixture) for job in work)
    priced = list(zip(work, runs, strict=True))
    warnings = [line for job, run in priced for line in notices.warnings(job, run)]
    notes = [line for job, run in priced for line in notices.notes(job, run)]
    if mixture is not None and tokens_by_source is not None:
        read = [recipe.source(name) for name in recipe.source_names]
        warnings += notices.epochs(work[0], read, mixture["weights"], tokens_by_source)
        notes += [notices.text_to_find(job, read, tokens_by_source) for job in work[1:]]
    return Bill(
        runs=runs,
        assumptions=notices.assumptions(work, recipe.plan.max_overhead_fraction, USABLE_MEMORY),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def hourly_price(farm: Farm, gpu: Accelerator, path: str) -> tuple[float, str]:
    """Euros for one accelerator for an hour of work, and how they were made. `path` is the farm's in the recipe.

    Raises RecipeError for a farm that is both rented and bought.
    """
    if farm.rent_euros_per_hour and farm.buy_euros:
        raise RecipeError(
            f"{path}.rent_euros_per_hour = {farm.rent_euros_per_hour:g} and {path}.buy_euros = "
            f"{farm.buy_euros:g}: a farm is rented or bought; set one of them to 0"
        )
    if farm.rent_euros_per_hour:
        return farm.rent_euros_per_hour, "rent, electricity included"
    electricity = gpu.watts / 1000 * farm.pue * farm.electricity_euros_per_kwh
    if not farm.buy_euros:
        return electricity, "electricity alone"
    paid_hours = farm.lifetime_years * HOURS_PER_YEAR * farm.busy_fraction
    write_off = farm.buy_euros / paid_hours
    words = (
        f"{farm.buy_euros:,.0f} euros written off over {farm.lifetime_years:g} years at {farm.busy_fraction:.0%} "
        f"use ({write_off:.3g} euros an hour), and electricity ({electricity:.3g} euros an hour)"
    )
    return write_off + electricity, words


def _farm_bill(job: Job) -> FarmBill:
    farm, gpu = job.farm, accelerators.of(job.farm, job.farm_path)
    hourly, cost = hourly_price(farm, gpu, job.farm_path)
    return FarmBill(
        gpu=gpu.name,
        count=farm.count,
        peak_tflops=gpu.peak_tflops,
        memory_gib=gpu.memory_gib,
        watts=gpu.watts,
        mfu=farm.mfu,
        pue=farm.pue,
        euros_per_gpu_hour=hourly,
        cost=cost,
        co2_grams_per_kwh=farm.co2_grams_per_kwh,
        source=gpu.source,
    )


def _run_bill(job: Job, overhead_fraction: float, mixture: Mapping[str, Any] | None) -> RunBill:
    farm = _farm_bill(job)
    counted = count.parameters(job.model, job.vocab_size)
    flops_per_token = count.flops_per_token(job.model, job.vocab_size, job.sequence_length)
    flops = flops_per_token * job.tokens
    gpu_hours = flops / (farm.peak_tflops * 1e12 * farm.mfu) / 3600 * (1 + overhead_fraction)
    euros, kwh = gpu_hours * farm.euros_per_gpu_hour, gpu_hours * farm.watts / 1000 * farm.pue
    memory = _memory(job, farm.memory_gib)
    return RunBill(
        name=job.name,
        farm=farm,
        parameters=counted.total,
        active_parameters=counted.active,
        tokens=job.tokens,
        flops_per_token=flops_per_token,
        flops=flops,
        gpu_hours=gpu_hours,
        hours=gpu_hours / job.num_devices,
        euros=euros,
        kwh=kwh,
        co2_kg=kwh * farm.co2_grams_per_kwh / 1000,
        memory_gib=memory,
        fits=memory.total <= memory.available,
        wrong_mix=None if mixture is None else wrong_mix.price(mixture, gpu_hours, euros),
    )


def _memory(job: Job, memory_gib: float) -> MemoryBill:
    bytes_ = count.memory(job.model, job.vocab_size, job.sequence_length, num_devices=job.num_devices)
    return MemoryBill(
        weights=bytes_.weights / 2**30,
        gradients=bytes_.gradients / 2**30,
        optimiser=bytes_.optimiser / 2**30,
        activations=bytes_.activations / 2**30,
        total=bytes_.total / 2**30,
        available=memory_gib * USABLE_MEMORY,
    )
