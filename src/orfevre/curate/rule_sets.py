"""The sets of quality rules that others have published, each as thresholds on counts. A set's rules stand in the
order of datatrove's, so that reasons can be compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orfevre.curate.draft import Drop
from orfevre.kernels import quality as kernel
from orfevre.kernels.quality_python import Measures
from orfevre.recipe import Quality


@dataclass(frozen=True, slots=True)
class Measured:
    """One text, counted, and the rules it meets."""

    counts: Measures
    rules: Quality
    text: str
    languages: tuple[tuple[str, int], ...]
    """Languages whose stop words count, each with the bits of its words; none: no such rule."""


def gopher_repetition(measured: Measured) -> Iterator[Drop]:
    """arXiv 2112.11446, table A1."""
    counts, rules = measured.counts, measured.rules.gopher_repetition
    length = max(1, counts.num_chars)
    shares = [
        ("duplicate_paragraphs", counts.duplicate_paragraphs / counts.paragraphs, rules.max_duplicate_paragraphs),
        ("duplicate_paragraph_chars", counts.duplicate_paragraph_chars / length, rules.max_duplicate_paragraph_chars),
        ("duplicate_lines", counts.duplicate_lines / counts.lines, rules.max_duplicate_lines),
        ("duplicate_line_chars", counts.duplicate_line_chars / length, rules.max_duplicate_line_chars),
    ]
    for reason, share, most in shares:
        if share > most:
            yield Drop(reason, f"{share:.3f}")
    for n, chars, most in zip((2, 3, 4), counts.top, rules.max_top_grams, strict=True):
        if chars / length > most:
            yield Drop(f"top_{n}_gram", f"{chars / length:.3f} of characters in it")
    for n, chars, most in zip(range(5, 11), counts.duplicate, rules.max_duplicate_grams, strict=True):
        if chars / length > most:
            yield Drop(f"duplicate_{n}_gram", f"{chars / length:.3f} of characters in them")


def gopher_quality(measured: Measured) -> Iterator[Drop]:
    """arXiv 2112.11446, section A.1.1."""
    counts, rules = measured.counts, measured.rules.gopher_quality
    if counts.real_words < rules.min_words:
        yield Drop("few_words", f"{counts.real_words} words")
    if counts.real_words > rules.max_words:
        yield Drop("many_words", f"{counts.real_words} words")
    mean = counts.real_chars / max(1, counts.real_words)
    if mean < rules.min_mean_word_length:
        yield Drop("short_words", f"mean of {mean:.2f} characters")
    if mean > rules.max_mean_word_length:
        yield Drop("long_words", f"mean of {mean:.2f} characters")
    words, lines = max(1, counts.num_words), max(1, counts.num_lines)
    most = [
        ("many_hashes", counts.hashes / words, rules.max_symbols_per_word),
        ("many_ellipses", counts.ellipses / words, rules.max_symbols_per_word),
        ("bullet_lines", counts.bullet_lines / lines, rules.max_bullet_lines),
        ("ellipsis_lines", counts.ellipsis_lines / lines, rules.max_ellipsis_lines),
    ]
    for reason, share, limit in most:
        if share > limit:
            yield Drop(reason, f"{share:.3f}")
    if counts.alpha_words / words < rules.min_alphabetic_words:
        yield Drop("few_alphabetic_words", f"{counts.alpha_words / words:.3f} of words hold a letter")
    held = max(((counts.stop_words & bits).bit_count() for _, bits in measured.languages), default=rules.min_stop_words)
    if held < rules.min_stop_words:
        yield Drop("few_stop_words", f"{held} different ones")


def c4(measured: Measured) -> Iterator[Drop]:
    """arXiv 1910.10683, section 2.2."""
    counts, rules = measured.counts, measured.rules.c4
    if counts.c4_outcome == kernel.LOREM_IPSUM:
        yield Drop("lorem_ipsum", "")
    elif counts.c4_outcome == kernel.CURLY:
        yield Drop("curly_bracket", "")
    elif counts.c4_sentences < rules.min_sentences:
        yield Drop("few_sentences", f"{counts.c4_sentences} left")


def fineweb(measured: Measured) -> Iterator[Drop]:
    """arXiv 2406.17557, section 3.6."""
    counts, rules = measured.counts, measured.rules.fineweb
    if not counts.web_lines:
        yield Drop("no_text", "")
        return
    ended, short = counts.web_ended_lines / counts.web_lines, counts.web_short_lines / counts.web_lines
    if ended < rules.min_ended_lines:
        yield Drop("few_ended_lines", f"{ended:.3f} of lines end in punctuation")
    if short > rules.max_short_lines:
        yield Drop("short_lines", f"{short:.3f} of lines are short")
    repeated = counts.web_duplicate_chars / max(1, counts.web_chars)
    if repeated > rules.max_duplicate_chars:
        yield Drop("duplicate_chars", f"{repeated:.3f} of characters in repeated lines")
    newlines = counts.web_newlines / max(1, counts.web_words)
    if newlines > rules.max_newlines_per_word:
        yield Drop("list", f"{newlines:.3f} line ends for each word")


def starcoder(measured: Measured) -> Iterator[Drop]:
    """arXiv 2305.06161, section 3.1; arXiv 2402.19173, filters of source code."""
    counts, rules = measured.counts, measured.rules.starcoder
    mean = (counts.num_chars - counts.newlines) / (counts.newlines + 1)
    letters = counts.alphanumerics / max(1, counts.num_chars)
    encoded = counts.encoded_bytes / max(1, len(measured.text.encode()))
    if counts.longest_line > rules.max_line_chars:
        yield Drop("long_line", f"{counts.longest_line} characters in one line")
    if mean > rules.max_mean_line_chars:
        yield Drop("long_lines", f"mean of {mean:.1f} characters")
    if letters < rules.min_alphanumerics:
        yield Drop("few_alphanumerics", f"{letters:.3f} of characters are letters or digits")
    if encoded > rules.max_encoded_fraction:
        yield Drop("encoded_data", f"{encoded:.3f} of bytes")
    if counts.longest_encoded > rules.max_encoded_bytes:
        yield Drop("encoded_data", f"{counts.longest_encoded} bytes in one piece")
    if rules.refuse_generated and counts.is_generated:
        yield Drop("generated", "its first lines say so")
    if rules.refuse_xml and "<?xml version=" in measured.text[:100]:
        yield Drop("xml", "")


RULE_SETS: dict[str, Callable[[Measured], Iterator[Drop]]] = {
    "gopher_repetition": gopher_repetition,
    "gopher_quality": gopher_quality,
    "c4": c4,
    "fineweb": fineweb,
    "starcoder": starcoder,
}
"""In the order in which they are asked."""
