"""The step that says which language a text of prose is in, and drops what is in another than its source's.

How the language is found is in language_decision.py, or in language_fasttext.py where the recipe names a model.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from orfevre.curate import language_decision, language_fasttext
from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.language_codes import UNDETERMINED, is_prose_language, same
from orfevre.curate.language_decision import Detected
from orfevre.curate.units import Unit
from orfevre.recipe import Recipe

__all__ = ["UNDETERMINED", "is_prose_language", "prepare", "same", "step"]

BATCH = 256
"""Texts looked at together; bounds the table of scores, a few hundred languages wide."""


def prepare(recipe: Recipe, folder: Path) -> None:
    """Refuse a fastText model that cannot be used before any file is read."""
    if recipe.curate.language.fasttext:
        language_fasttext.check(recipe.curate.language.fasttext)


def step(unit: Unit) -> Step | None:
    """None for a source of code."""
    rules = unit.curate.language
    if unit.source.format == "code" or not is_prose_language(unit.source.language):
        return None
    detect = language_fasttext.detector(rules.fasttext) if rules.fasttext else language_decision.detect

    def identify(drafts: Sequence[Draft]) -> None:
        prose = [draft for draft in drafts if not draft.is_code]
        for start in range(0, len(prose), BATCH):
            _note(prose[start : start + BATCH], detect, rules.min_confidence, rules.unknown == "drop")

    return identify


def _note(
    drafts: Sequence[Draft], detect: Callable[[Sequence[str]], list[Detected]], least: float, drop_unknown: bool
) -> None:
    """Write language and confidence into each draft; one that is not sure keeps its source's language, with the
    confidence in that language where it is the likeliest, else 0."""
    for draft, found in zip(drafts, detect([draft.text for draft in drafts]), strict=True):
        declared, sure = draft.language, found.confidence >= least and found.code != UNDETERMINED
        draft.language_confidence = found.confidence
        if sure:
            if declared != UNDETERMINED and not same(found.code, declared):
                draft.drop = Drop("language", f"{found.code} {found.confidence:.2f}")
            draft.language = found.code
        elif not same(found.code, declared):
            draft.language_confidence = 0.0
        if not sure and drop_unknown:
            draft.drop = Drop("language", f"unknown: {found.code} {found.confidence:.2f}")
