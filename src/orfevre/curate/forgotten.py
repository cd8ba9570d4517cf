"""Documents that `orfevre forget` named are dropped, and no copy of their text is kept."""

from collections.abc import Sequence
from pathlib import Path

from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit
from orfevre.data import forgotten
from orfevre.data.documents import identity
from orfevre.recipe import Recipe

RULES = "forgotten"
"""Folder under the stage's prepared files."""


def prepare(recipe: Recipe, folder: Path) -> None:
    """The run's rules, copied where every worker, on whatever machine, finds them."""
    forgotten.append(folder / RULES, forgotten.read(Path(recipe.work) / recipe.name))


def step(unit: Unit) -> Step | None:
    rules = forgotten.read(unit.prepared / RULES)
    if not rules:
        return None
    matcher = forgotten.Matcher(rules)

    def judge(drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            addresses = (draft.facts.url, draft.facts.canonical_url, draft.location)
            if found := matcher.match(identity(unit.source.name, draft.location), addresses):
                draft.drop = Drop("forgotten", str(found))
                draft.respell("")

    return judge
