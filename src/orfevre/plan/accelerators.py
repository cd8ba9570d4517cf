"""Peak, memory and power of the accelerators that a farm may be made of: accelerators.json, or the recipe's own."""

import difflib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orfevre.errors import RecipeError
from orfevre.recipe import Farm


@dataclass(frozen=True)
class Accelerator:
    name: str
    peak_tflops: float
    """Dense bf16 peak, of a processor float32, 1e12 FLOP/s."""
    memory_gib: float
    """As the data sheet has it, whose GB are read as GiB."""
    watts: float
    """Under load, with its share of the host."""
    source: str
    """Where the figures are from, in words."""


@cache
def table() -> dict[str, Accelerator]:
    """Every accelerator that is known by name."""
    rows = json.loads(Path(__file__).with_name("accelerators.json").read_text(encoding="utf-8"))
    return {name: Accelerator(name=name, **row) for name, row in rows.items()}


def of(farm: Farm, path: str) -> Accelerator:
    """The farm's accelerator: figures of the recipe go before those of the table. `path` is the farm's in the recipe.

    Raises RecipeError for a name that is not in the table, unless the recipe gives all three figures.
    """
    own = {"peak_tflops": farm.peak_tflops, "memory_gib": farm.memory_gib, "watts": farm.watts}
    given = {key: figure for key, figure in own.items() if figure}
    known = table().get(farm.gpu)
    if known is None and len(given) < len(own):
        raise RecipeError(_unknown(farm.gpu, path, [key for key in own if key not in given]))
    figures = {key: given.get(key) or getattr(known, key) for key in own}
    words = [known.source] if known and len(given) < len(own) else []
    words += [f"{', '.join(given)}: the recipe"] if given else []
    return Accelerator(name=farm.gpu, source="; ".join(words), **figures)


def _unknown(name: str, path: str, missing: list[str]) -> str:
    folded = {known.casefold(): known for known in table()}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.4)
    nearest = f"did you mean {' or '.join(folded[key] for key in close)}? " if close else ""
    return (
        f"{path}.gpu = {name!r}: not in the table; {nearest}Known are {', '.join(table())}. "
        f"For another one give {', '.join(f'{path}.{key}' for key in missing)}"
    )
