"""The steps that every document goes through, in order. A step is a module of this folder with

step(unit) -> Step | None        built once a unit, in a worker; None when the recipe turns it off
prepare(recipe, folder) -> None  only where something must exist before any unit is read: run once, in the main
                                 process, idempotent; `folder` is what steps find as unit.prepared
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from orfevre.curate.draft import Draft, Step
from orfevre.curate.units import Unit
from orfevre.recipe import Recipe

ORDER = (
    "forgotten", "optout", "repair", "normalise", "quality", "language", "classifier", "personal", "contamination"
)  # fmt: skip


def steps_of(unit: Unit) -> list[Step]:
    """The steps that the unit's recipe asks for."""
    made = [module.step(unit) for module in _modules() if hasattr(module, "step")]
    return [step for step in made if step is not None]


def prepare(recipe: Recipe, folder: Path) -> None:
    """What steps need of the whole recipe before the first unit is read."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in _modules():
        if hasattr(module, "prepare"):
            module.prepare(recipe, folder)


def apply(steps: Sequence[Step], drafts: Sequence[Draft]) -> None:
    """Each step sees the drafts that no step before it has dropped."""
    for step in steps:
        left = [draft for draft in drafts if draft.drop is None]
        if left:
            step(left)


def _modules() -> list[ModuleType]:
    names = [f"orfevre.curate.{name}" for name in ORDER]
    return [importlib.import_module(name) for name in names if importlib.util.find_spec(name) is not None]
