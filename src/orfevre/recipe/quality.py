"""Sections of [curate] that judge and mend a text: quality rules, repair, personal data."""

from .base import Count, Fraction, NonNegative, Section


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


class Repair(Section):
    pass


class Personal(Section):
    pass
