"""The steps that every document goes through, in order. A step is a module of this folder with

step(unit) -> Step | None        built once a unit, in a worker; None when the recipe turns it off
prepare(recipe, folder) -> None  only where something must exist before any unit is read: run once, in the main
                                 process, idempotent; `folder` is what steps find as unit.prepared
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from orfevre.curate import (
    classifier,
    contamination,
    forgotten,
    language,
    normalise,
    optout,
    personal,
    quality,
    repair,
)
from orfevre.curate.draft import Draft, Step
from orfevre.curate.units import Unit
from orfevre.recipe import Recipe

ORDER: dict[str, Callable[[Unit], Step | None]] = {
    "forgotten": forgotten.step,
    "optout": optout.step,
    "repair": repair.step,
    "normalise": normalise.step,
    "quality": quality.step,
    "language": language.step,
    "classifier": classifier.step,
    "personal": personal.step,
    "contamination": contamination.step,
}

PREPARED_BY: tuple[Callable[[Recipe, Path], None], ...] = (
    forgotten.prepare,
    optout.prepare,
    language.prepare,
    classifier.prepare,
    contamination.prepare,
)


def steps_of(unit: Unit) -> list[Step]:
    """The steps that the unit's recipe asks for."""
    made = [make(unit) for make in ORDER.values()]
    return [step for step in made if step is not None]


def prepare(recipe: Recipe, folder: Path) -> None:
    """What steps need of the whole recipe before the first unit is read."""
    folder.mkdir(parents=True, exist_ok=True)
    for make_ready in PREPARED_BY:
        make_ready(recipe, folder)


def apply(steps: Sequence[Step], drafts: Sequence[Draft]) -> None:
    """Each step sees the drafts that no step before it has dropped."""
    for step in steps:
        left = [draft for draft in drafts if draft.drop is None]
        if left:
            step(left)
