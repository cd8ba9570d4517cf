"""bill.md: the bill for people, from a template."""

from pathlib import Path

import jinja2

from .bill import Bill, Interval, RunBill, WrongMix

TEMPLATE = "bill.md.jinja"


def render(bill: Bill) -> str:
    """The bill in Markdown."""
    world = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML; cells are escaped by the filter
    )
    world.filters.update(cell=cell, figure=figure, whole=whole, percent=percent, extra=extra)
    columns = [_column(run) for run in bill.runs]
    rows = [(label, [column[label] for column in columns]) for label in columns[0]]
    sources = dict.fromkeys((run.farm.gpu, run.farm.source) for run in bill.runs)
    return world.get_template(TEMPLATE).render(bill=bill, rows=rows, sources=sources).rstrip() + "\n"


def figure(amount: float) -> str:
    """Three significant digits, thousands set apart: 12345.6 -> 12,300."""
    if amount == 0:
        return "0"
    return f"{float(f'{amount:.3g}'):,.10g}" if 1e-4 <= abs(amount) < 1e15 else f"{amount:.3g}"


def whole(amount: int) -> str:
    return f"{amount:,}"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def cell(text: str) -> str:
    """Text that stays inside its table cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def extra(found: WrongMix) -> str:
    """`12 accelerator-hours (5 to 20) and 34 euros (10 to 50) more, 1.4 times the compute (1.1 to 1.8).`"""
    if found.compute_ratio is None or found.gpu_hours is None or found.euros is None:
        return "no figure."
    return (
        f"{figure(found.gpu_hours)} accelerator-hours{_span(found.gpu_hours_interval)} and "
        f"{figure(found.euros)} euros{_span(found.euros_interval)} more, {figure(found.compute_ratio)} times the "
        f"compute{_span(found.interval)}."
    )


def _span(ends: Interval | None) -> str:
    if ends is None:
        return ""
    low, high = ("unknown" if end is None else figure(end) for end in ends)
    return f" ({low} to {high})"


def _column(run: RunBill) -> dict[str, str]:
    farm, memory = run.farm, run.memory_gib
    return {
        "Farm": f"{whole(farm.count)} x {cell(farm.gpu)}",
        "Utilisation (MFU)": percent(farm.mfu),
        "Euros for an accelerator-hour": figure(farm.euros_per_gpu_hour),
        "Parameters": whole(run.parameters),
        "Active for a token": whole(run.active_parameters),
        "Training tokens": whole(run.tokens),
        "FLOP for a token": f"{run.flops_per_token:.3g}",
        "FLOP": f"{run.flops:.3g}",
        "Accelerator-hours": figure(run.gpu_hours),
        "Hours": figure(run.hours),
        "Euros": figure(run.euros),
        "kWh": figure(run.kwh),
        "CO2, kg": figure(run.co2_kg),
        "GiB on each: weights": figure(memory.weights),
        "gradients": figure(memory.gradients),
        "optimiser": figure(memory.optimiser),
        "activations": figure(memory.activations),
        "in all": figure(memory.total),
        "available": figure(memory.available),
        "Fits": "yes" if run.fits else "**no**",
    }
