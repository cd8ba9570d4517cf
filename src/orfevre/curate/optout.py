"""Documents whose owners have reserved them are dropped. Kept is why: the rule, and what it was read from; not their
text."""

from collections.abc import Sequence
from pathlib import Path

from orfevre.curate import optout_files
from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.optout_rules import RULES, Case, Rule
from orfevre.curate.units import Unit
from orfevre.data.sources import is_url
from orfevre.errors import RecipeError
from orfevre.recipe import OptOut, Recipe

REASON = "opt_out"
GROUP = "orfevre.optout"
"""Python entry point group of rules that a recipe may name in curate.optout.extra_rules."""


def prepare(recipe: Recipe, folder: Path) -> None:
    """The tables of the files that the recipe names. Raises InputError for a list that cannot be used."""
    place = folder / optout_files.FOLDER
    if not place.is_dir():
        optout_files.build(recipe, place)
    _extra(recipe.curate.optout)


def step(unit: Unit) -> Step | None:
    rules = loaded(unit.curate.optout, unit.prepared / optout_files.FOLDER)
    if not rules:
        return None

    def judge_all(drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            draft.drop = judge(draft, rules)
            if draft.drop is not None:  # a copy of what is reserved is a reproduction too
                draft.respell("")

    return judge_all


def loaded(asked: OptOut, folder: Path) -> list[Rule]:
    """The rules that the recipe asks for, in the order of the registry, its own ones last."""
    made = [kind.load(asked, folder) for kind in (*RULES.values(), *_extra(asked))]
    return [rule for rule in made if rule is not None]


def judge(draft: Draft, rules: Sequence[Rule]) -> Drop | None:
    """The first rule's reason to drop a document."""
    case = Case(_urls(draft), draft.facts, draft.licence)
    for rule in rules:
        if why := rule.judge(case):
            return Drop(REASON, f"{rule.name}: {why}")
    return None


def _urls(draft: Draft) -> tuple[str, ...]:
    own = draft.facts.url or (draft.location.partition("#")[0] if is_url(draft.location) else "")
    return tuple(dict.fromkeys(url for url in (own, draft.facts.canonical_url) if _is_address(url)))


def _is_address(url: str) -> bool:
    """Whether a URL from data can be taken apart: a bracket out of place makes urlsplit raise."""
    return bool(url) and optout_files.address(url) != ""


def _extra(asked: OptOut) -> list[type[Rule]]:
    if not asked.extra_rules:
        return []
    from importlib.metadata import entry_points

    found = []
    for name in asked.extra_rules:
        points = entry_points(group=GROUP, name=name)
        if not points:
            raise RecipeError(
                f"curate.optout.extra_rules: no installed package offers {name!r} in the entry point group {GROUP}; "
                "install it, or take the name out"
            )
        found.append(next(iter(points)).load())
    return found
