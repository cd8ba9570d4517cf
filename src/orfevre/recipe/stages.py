"""Sections that steer curation, tokenisation and the machine that runs them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from .base import Count, Fraction, NonNegative, Section


class Runner(Section):
    kind: Literal["pool", "inline"] = "pool"
    """`pool` maps work over processes, `inline` stays in this one. Results are the same bytes."""

    workers: int = Field(default=0, ge=0)
    """Processes in the pool; 0 is one for each core this process may use."""


class Machine(Section):
    watts: NonNegative = 65.0
    """Power this machine draws under load; used for the energy ledger where no energy meter can be read."""


class Quality(Section):
    min_chars: Count = 200
    """Shorter documents are dropped (reason `too_short`)."""

    max_chars: Count = 2_000_000
    """Longer documents are dropped (reason `too_long`)."""

    min_letter_fraction: Fraction = 0.5
    """Prose only: share of characters that are letters or white space (reason `few_letters`)."""

    min_mean_word_length: NonNegative = 2.0
    """Prose only: Gopher's lower bound is 3 (arXiv 2112.11446, table A1); lower here for technical prose."""

    max_mean_word_length: NonNegative = 12.0
    """Prose only: mean word length above this is dropped (reason `word_length`)."""

    max_duplicate_line_fraction: Fraction = 0.3
    """Prose only: share of non-empty lines that repeat an earlier one (Gopher; reason `repeated_lines`)."""

    max_line_chars: Count = 2_000
    """Code only: a line longer than this marks data or minified code (reason `long_line`)."""

    min_alphanumeric_fraction: Fraction = 0.2
    """Code only: share of letters and digits (reason `few_alphanumerics`)."""

    min_language_confidence: Fraction = 0.7
    """Prose only: another language seen with at least this confidence drops the document (reason `language`)."""


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


class Curate(Section):
    quality: Quality = Quality()
    """Rules a document must pass. Every drop is kept with its reason."""

    dedup: Dedup = Dedup()
    """Exact and MinHash deduplication across all sources."""

    validation_fraction: float = Field(default=0.05, gt=0.0, lt=0.5)
    """Share of documents (by hash of their near-duplicate group) held out for validation."""

    shard_bytes: Count = 16 * 2**20
    """Raw bytes of input in one unit of work; bounds memory."""


class Tokenize(Section):
    vocab_size: int = Field(default=32_000, ge=300, le=2**31)
    """Entries of the byte-level BPE, special tokens included. Ignored when `file` is given."""

    sample_bytes: Count = 64 * 2**20
    """Text the tokenizer is trained on, split evenly over the sources."""

    file: str = ""
    """A tokenizer.json to use instead of training one."""
