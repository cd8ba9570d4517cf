"""Sections of [curate] that look for what is there twice: documents, and lines of boilerplate."""

from typing import Self

from pydantic import model_validator

from .base import Count, Fraction, Section


class Dedup(Section):
    jaccard: Fraction = 0.8
    """Documents whose estimated Jaccard similarity of word 5-shingles reaches this are near-duplicates."""

    group_jaccard: Fraction = 0.5
    """Documents this similar are kept, but fall on the same side of the train/validation split."""

    num_bands: Count = 32
    """LSH bands. Candidates share one whole band; more bands find looser pairs."""

    rows_per_band: Count = 4
    """MinHash values in a band; bands x rows is the signature length."""

    @model_validator(mode="after")
    def _group_is_looser(self) -> Self:
        if self.group_jaccard > self.jaccard:
            raise ValueError(f"group_jaccard {self.group_jaccard} must not exceed jaccard {self.jaccard}")
        return self


class Boilerplate(Section):
    pass
