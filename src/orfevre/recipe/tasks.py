"""Evaluation sets, and how training text is kept clean of them."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from .base import Count, Fraction, Name, Section


class Task(Section):
    """One `[[tasks]]` table. `curate` keeps training text clean of its items (contamination); scoring models on tasks
    is not there yet and will read the same table."""

    name: Name
    """Short name used everywhere: lower-case letters, digits and underscores."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Files, globs or fsspec URLs, as in `[[sources]]`; `{data}` and the like are filled in."""

    exclude: tuple[str, ...] = ()
    """Globs of files to leave out, matched against the same full paths."""

    format: Literal["jsonl", "json", "parquet", "csv", "tsv", "squad"]
    """What the files are. `jsonl` may end in .gz or .zst; `json` is a list of objects; `squad` is the nested form of
    SQuAD (data, paragraphs, qas), one item a question, with the fields `context`, `question`, `answers`."""

    fields: tuple[str, ...] = Field(min_length=1)
    """What makes up an item's text, joined in this order: keys or columns; `a.b` goes into objects; lists and objects
    are joined. Name what a text that leaked would hold: the question, the passage, worded answers."""

    header: bool = True
    """csv and tsv: the first line names the columns. Without it `fields` are their numbers, from 1: ["4"]."""

    licence: str = ""
    """SPDX identifier or plain name of the set's licence."""

    language: str = Field(default="und", pattern=r"^[a-z][a-z0-9_+#-]{0,31}$")
    """ISO 639-1 code, `und`, or a programming language."""

    @field_validator("fields")
    @classmethod
    def _no_empty_field(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if any(not part for field in fields for part in field.split(".")):
            raise ValueError("a field is empty; name a key of the items")
        return fields

    @model_validator(mode="after")
    def _columns_without_header_are_numbers(self) -> "Task":
        if not self.header and not all(field.isdigit() and int(field) > 0 for field in self.fields):
            raise ValueError('without a header, fields are numbers of columns from 1, such as ["4"]')
        return self


class Contamination(Section):
    """Overlap of training documents with items of `[[tasks]]`; nothing happens without tasks."""

    ngram: int = Field(default=13, ge=5, le=32)
    """Words in a row that must be equal to count as shared (13: GPT-3, arXiv 2005.14165, appendix C)."""

    min_words: int = Field(default=8, ge=1, le=32)
    """Items of fewer words are not looked for: they turn up by chance (8: the least of the same appendix). Items from
    here up to `ngram` words must be there whole."""

    min_overlap: Fraction = Field(default=0.3, gt=0.0)
    """A document that holds at least this share of an item's n-grams is dropped (reason `contaminated`)."""

    max_items: Count = 100
    """An n-gram that more items of one task share is that task's own wording and does not count."""

    @model_validator(mode="after")
    def _short_items_are_shorter(self) -> "Contamination":
        if self.min_words > self.ngram:
            raise ValueError(f"min_words {self.min_words} must not exceed ngram {self.ngram}")
        return self
