"""Sections of [curate] that say what a text is: its language, and how good a classifier finds it."""

from typing import Literal, Self

from pydantic import model_validator

from .base import Count, Fraction, Name, Section


class Language(Section):
    min_confidence: Fraction = 0.7
    """Prose only: a language is taken as known from this probability on. One that is known and not its source's drops
    the document (reason `language`)."""

    unknown: Literal["keep", "drop"] = "keep"
    """A text of no known language: `keep` leaves it with its source's language, `drop` drops it (reason `language`)."""

    fasttext: str = ""
    """A fastText model file (such as lid.176.bin) asked instead of the built-in identifiers (extra `fasttext`)."""


class Classifier(Section):
    good: tuple[Name, ...] = ()
    """Sources whose text is what you want more of. Empty: no classifier."""

    ordinary: tuple[Name, ...] = ()
    """Sources whose text is as it comes: the classifier learns to tell `good` from these."""

    min_score: Fraction = 0.0
    """A document scored lower is dropped (reason `low_quality`); 0 keeps all, with the score in column `quality`."""

    sample_bytes: Count = 32 * 2**20
    """Text of each kind that the classifier learns from and is measured on."""

    @model_validator(mode="after")
    def _has_two_kinds(self) -> Self:
        if bool(self.good) != bool(self.ordinary):
            given, missing = ("good", "ordinary") if self.good else ("ordinary", "good")
            raise ValueError(f"{given} is given and {missing} is not; name sources of both kinds, or of neither")
        if twice := sorted(set(self.good) & set(self.ordinary)):
            raise ValueError(f"{twice[0]!r} is both good and ordinary; a source can be one of them")
        if self.min_score and not self.good:
            raise ValueError("min_score needs a classifier; name its sources in good and ordinary")
        return self
