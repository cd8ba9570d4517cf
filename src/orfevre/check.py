"""`orfevre check`: what the recipe would read and what its run would cost, before anything is written. No torch."""

from collections.abc import Callable, Mapping, Sequence

from orfevre import console
from orfevre.data import sources, tasks
from orfevre.data.sources import SourceFile
from orfevre.errors import RecipeError
from orfevre.plan import price
from orfevre.plan.bill import Bill, RunBill
from orfevre.recipe import Recipe


def check(recipe: Recipe) -> None:
    """Print the sources and the bill. Raises UserError for whatever would stop the run at its start."""
    files = {source.name: sources.resolve(recipe, source) for source in recipe.sources}
    _refuse_empty(files)
    console.table(
        ("source", "files", "size", "format", "language", "max epochs", "licence"),
        [_row(recipe, name, found) for name, found in files.items()],
        title=f"Sources of {recipe.name}",
    )
    _print_tasks(recipe)
    for source in recipe.sources:
        if source.domains > 1:
            console.say(f"{source.name} is split by topic: {source.parts[0]} to {source.parts[-1]} for later stages")
    _warn_of_shared(files)
    _refuse_too_little(recipe, files)
    if beyond := recipe.model.beyond_mixtral:
        console.warn(
            f"{', '.join(beyond)}: Mixtral has none of it, so the release will be in orfevre's own format, which "
            "transformers and llama.cpp do not read"
        )
    _print_bill(price.estimate(recipe))


def _row(recipe: Recipe, name: str, files: Sequence[SourceFile]) -> tuple[str, ...]:
    source = recipe.source(name)
    size = console.quantity(sum(file.num_bytes for file in files), "B")
    return name, f"{len(files):,}", size, source.format, source.language, f"{source.max_epochs:g}", source.licence


def _print_tasks(recipe: Recipe) -> None:
    """Reads every evaluation set: a field that is not there is better known now than after hours of reading."""
    rows = []
    for task in recipe.tasks:
        items = sum(1 for _ in tasks.read(recipe, task))
        count = len(sources.resolve_task(recipe, task))
        rows.append((task.name, f"{count:,}", f"{items:,}", ", ".join(task.fields), task.language, task.licence))
    if rows:
        columns = ("task", "files", "items", "fields", "language", "licence")
        console.table(columns, rows, title="\nEvaluation sets, which training text is kept clean of")


def _refuse_empty(files: Mapping[str, Sequence[SourceFile]]) -> None:
    for name, found in files.items():
        if not any(file.num_bytes for file in found):
            raise RecipeError(
                f"sources.{name}.paths: all {len(found)} files are empty ({found[0].path}); name files with text"
            )


def _warn_of_shared(files: Mapping[str, Sequence[SourceFile]]) -> None:
    owner: dict[str, str] = {}
    shared: dict[tuple[str, str], int] = {}
    for name, found in files.items():
        for file in found:
            first = owner.setdefault(file.path, name)
            if first != name:
                shared[first, name] = shared.get((first, name), 0) + 1
    for (first, second), count in shared.items():
        console.say(f"{count:,} files are read by both {first} and {second}")


def _refuse_too_little(recipe: Recipe, files: Mapping[str, Sequence[SourceFile]]) -> None:
    """Even if every byte became text, would the epoch limits leave enough tokens? One byte is at least one token."""
    most = {name: sum(file.num_bytes for file in found) for name, found in files.items()}
    plain = all(recipe.source(name).format in ("text", "markdown", "code", "html") for name in files)
    reachable = sum(recipe.source(name).max_epochs * size for name, size in most.items())
    if plain and reachable < recipe.train.tokens:
        raise RecipeError(
            f"train.tokens = {recipe.train.tokens:,}: the sources hold {sum(most.values()):,} bytes, at most "
            f"{reachable:,.0f} tokens within their max_epochs; add text, raise max_epochs or lower train.tokens"
        )


def _print_bill(bill: Bill) -> None:
    rows = [(label, *(figure(run) for run in bill.runs)) for label, figure in _FIGURES]
    console.table(("", *(run.name for run in bill.runs)), rows, title="\nThe bill")
    for run in bill.runs:
        console.say(f"{run.name}: an hour of one {run.farm.gpu}: {run.farm.cost}")
    for line in bill.warnings:
        console.warn(line)


def _whole_or_short(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 1000 else f"{amount:.3g}"


_FIGURES: tuple[tuple[str, Callable[[RunBill], str]], ...] = (
    ("farm", lambda run: f"{run.farm.count:,} x {run.farm.gpu}"),
    ("utilisation", lambda run: f"{100 * run.farm.mfu:.3g} %"),
    ("euros an hour of one", lambda run: f"{run.farm.euros_per_gpu_hour:.3g}"),
    ("parameters", lambda run: f"{run.parameters:,}"),
    ("active for a token", lambda run: f"{run.active_parameters:,}"),
    ("training tokens", lambda run: f"{run.tokens:,}"),
    ("FLOP", lambda run: f"{run.flops:.2e}"),
    ("accelerator-hours", lambda run: _whole_or_short(run.gpu_hours)),
    ("time", lambda run: console.duration(run.hours * 3600)),
    ("euros", lambda run: _whole_or_short(run.euros)),
    ("kWh", lambda run: _whole_or_short(run.kwh)),
    ("kg CO2", lambda run: _whole_or_short(run.co2_kg)),
    ("GiB on each", lambda run: f"{run.memory_gib.total:.3g} of {run.memory_gib.available:.3g}"),
)
