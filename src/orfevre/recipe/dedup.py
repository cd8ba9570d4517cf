"""Sections of [curate] that look for what is there twice: documents, and lines of boilerplate."""

from typing import Literal, Self

from pydantic import Field, model_validator

from .base import Count, Fraction, Section


class Dedup(Section):
    jaccard: Fraction = 0.8
    """Documents whose Jaccard similarity of word 5-shingles reaches this are near-duplicates: all but one go."""

    group_jaccard: Fraction = 0.5
    """Documents this similar are kept, but fall on the same side of the train/validation split."""

    num_bands: Count = 24
    """LSH bands. Documents that share one whole band are compared; more bands find looser pairs."""

    rows_per_band: Count = 4
    """MinHash values in a band; bands x rows is the signature length. Multiples of 16 are the fastest."""

    keep: tuple[Literal["source", "quality", "length"], ...] = ("source", "quality", "length")
    """Which of several near-duplicates stays: criteria in the order they are asked, the lowest id in the end. `source`
    is the source of highest priority, `quality` the classifier's highest score, `length` the longest text in bytes."""

    priority: tuple[str, ...] = ()
    """Names of sources, the one to keep documents of first. Those that are not named follow in the recipe's order."""

    span_words: int = Field(default=0, ge=0)
    """A run of this many words or a few more that several kept documents hold stays in the best of them only (by
    source, then id), and is taken out of the others; 0: nothing is. 50 is usual (arXiv 2107.06499). Code too."""

    @model_validator(mode="after")
    def _group_is_looser(self) -> Self:
        if self.group_jaccard > self.jaccard:
            raise ValueError(f"group_jaccard {self.group_jaccard} must not exceed jaccard {self.jaccard}")
        return self

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for field in ("keep", "priority"):
            named = getattr(self, field)
            if twice := [name for name in named if named.count(name) > 1]:
                raise ValueError(f"{field} names {twice[0]!r} twice; leave one of them")
        return self


class Boilerplate(Section):
    min_documents: int = Field(default=0, ge=0)
    """A line that this many documents of a source hold is boilerplate, and is taken out of all of them; 0: none is.
    Lines are equal when their words are, whatever their case and punctuation. Code is left alone."""

    min_words: Count = 3
    """Lines of fewer words are never boilerplate: many are common by chance."""
