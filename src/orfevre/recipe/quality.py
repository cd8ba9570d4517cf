"""Sections of [curate] that judge and mend a text: quality rules, repair, personal data."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from .base import Count, Fraction, NonNegative, Section

RuleSet = Literal["gopher_repetition", "gopher_quality", "c4", "fineweb", "starcoder"]
"""Rules by the name of who published them; each is a section of [curate.quality] with its thresholds."""

Whole = Annotated[int, Field(ge=0)]

ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
FRENCH = ("le", "la", "les", "l'", "l’", "de", "des", "du", "d'", "d’", "et", "que", "qui", "est", "dans")
GERMAN = ("der", "die", "das", "und", "ist", "mit", "von", "dass", "den", "nicht")
SPANISH = ("el", "la", "los", "que", "y", "de", "en", "con", "una", "por")
ITALIAN = ("il", "di", "che", "e", "la", "per", "un", "con", "non", "una")


class GopherRepetition(Section):
    """Table A1 of arXiv 2112.11446: how much of a text may repeat itself."""

    max_duplicate_paragraphs: Fraction = 0.30
    """Share of paragraphs that repeat an earlier one (reason `duplicate_paragraphs`)."""

    max_duplicate_paragraph_chars: Fraction = 0.20
    """Share of characters in them (reason `duplicate_paragraph_chars`)."""

    max_duplicate_lines: Fraction = 0.30
    """Share of lines that repeat an earlier one (reason `duplicate_lines`)."""

    max_duplicate_line_chars: Fraction = 0.20
    """Share of characters in them (reason `duplicate_line_chars`)."""

    max_top_grams: tuple[Fraction, Fraction, Fraction] = (0.20, 0.18, 0.16)
    """Share of characters in the most frequent 2-, 3- and 4-gram of words (reasons `top_2_gram` and so on)."""

    max_duplicate_grams: tuple[Fraction, Fraction, Fraction, Fraction, Fraction, Fraction] = (
        0.15, 0.14, 0.13, 0.12, 0.11, 0.10
    )  # fmt: skip
    """Share of characters in repeated 5- to 10-grams of words (reasons `duplicate_5_gram` and so on)."""


class GopherQuality(Section):
    """Section A.1.1 of arXiv 2112.11446. Words of punctuation alone count only where a share of words is asked."""

    min_words: Whole = 50
    """Fewer words are dropped (reason `few_words`)."""

    max_words: Count = 100_000
    """More words are dropped (reason `many_words`)."""

    min_mean_word_length: NonNegative = 3.0
    """Characters (reason `short_words`)."""

    max_mean_word_length: NonNegative = 10.0
    """Characters (reason `long_words`)."""

    max_symbols_per_word: NonNegative = 0.1
    """Hash signs, and ellipses, for each word (reasons `many_hashes`, `many_ellipses`)."""

    max_bullet_lines: Fraction = 0.9
    """Share of lines that begin with a bullet or hyphen (reason `bullet_lines`)."""

    max_ellipsis_lines: Fraction = 0.3
    """Share of lines that end in an ellipsis (reason `ellipsis_lines`)."""

    min_alphabetic_words: Fraction = 0.8
    """Share of words with a letter in them (reason `few_alphabetic_words`)."""

    min_stop_words: Whole = 2
    """Different stop words of the source's language that a text must hold (reason `few_stop_words`)."""

    stop_words: dict[str, tuple[str, ...]] = Field(default={
        "en": ENGLISH, "fr": FRENCH, "de": GERMAN, "es": SPANISH, "it": ITALIAN
    })  # fmt: skip
    """By language; English is the paper's list. A language without a list has no such rule; a source of language `und`
    passes by the list of any language. Elisions (`l'`) are words of their own."""

    @field_validator("stop_words")
    @classmethod
    def _few_enough(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        words = {word for own in lists.values() for word in own}
        if len(words) > 64:
            raise ValueError(f"{len(words)} different stop words in all lists; the kernel takes 64: shorten the lists")
        return lists


class C4(Section):
    """Section 2.2 of arXiv 1910.10683: lines that end as sentences do stay, the text becomes what is left."""

    line_ends: str = ".?!\"'"
    """A line that ends otherwise, or in `...`, is dropped."""

    min_words_per_line: Whole = 3
    """Lines of fewer words are dropped."""

    max_word_length: Count = 1000
    """Lines with a longer word (in characters) are dropped."""

    min_sentences: Whole = 5
    """Texts with fewer sentences left are dropped (reason `few_sentences`)."""

    remove_citations: bool = True
    """`[12]`, `[edit]` and `[citation needed]` are taken out."""

    drop_javascript: bool = True
    """Lines that speak of JavaScript are dropped."""

    drop_policy: bool = True
    """Lines on cookies, terms of use and privacy policies are dropped."""

    refuse_lorem_ipsum: bool = True
    """Texts with a line of it are dropped (reason `lorem_ipsum`)."""

    refuse_curly_bracket: bool = True
    """Texts with a line that holds one are dropped (reason `curly_bracket`)."""

    bad_words: str = ""
    """A file of words or phrases, one a line: texts that hold one are dropped (reason `bad_words`). None is shipped."""


class FineWeb(Section):
    """Section 3.6 of arXiv 2406.17557: rules on the lines of a web page."""

    min_ended_lines: Fraction = 0.12
    """Share of lines that end in punctuation (reason `few_ended_lines`)."""

    max_short_lines: Fraction = 0.67
    """Share of short lines (reason `short_lines`)."""

    short_line_chars: Whole = 30
    """Lines up to this many characters are short."""

    max_duplicate_chars: Fraction = 0.01
    """Share of characters in lines that repeat an earlier one (reason `duplicate_chars`)."""

    max_newlines_per_word: NonNegative = 0.3
    """Above it a text is a list (reason `list`)."""


class StarCoder(Section):
    """Rules for code: arXiv 2305.06161, section 3.1; encoded data and generated files: arXiv 2402.19173."""

    max_line_chars: Count = 1000
    """A longer line marks minified code or data (reason `long_line`)."""

    max_mean_line_chars: NonNegative = 100.0
    """Longer lines on average do too (reason `long_lines`)."""

    min_alphanumerics: Fraction = 0.25
    """Share of letters and digits (reason `few_alphanumerics`)."""

    max_encoded_fraction: Fraction = 0.5
    """Share of bytes in base64, lists of hexadecimal bytes and escapes (reason `encoded_data`)."""

    max_encoded_bytes: Count = 1024
    """The longest such piece (reason `encoded_data`)."""

    refuse_generated: bool = True
    """Files that call themselves generated in their first five lines are dropped (reason `generated`)."""

    refuse_xml: bool = True
    """Files that begin as XML are dropped (reason `xml`)."""


class Quality(Section):
    rules: tuple[RuleSet, ...] = ()
    """Sets of rules for every source that names none itself, beside the fields of this section, which always hold. The
    order is that of the sections below, whatever the order here. For web pages: gopher_repetition, gopher_quality, c4
    and fineweb."""

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

    more_line_ends: dict[str, str] = Field(default={"fr": "»”’", "de": "“«‘", "es": "»”", "it": "»”"})
    """By language of the source: what ends a line or sentence there too, for c4 and fineweb."""

    gopher_repetition: GopherRepetition = GopherRepetition()
    """Thresholds of the rules of that name."""

    gopher_quality: GopherQuality = GopherQuality()
    """Thresholds of the rules of that name."""

    c4: C4 = C4()
    """Thresholds of the rules of that name."""

    fineweb: FineWeb = FineWeb()
    """Thresholds of the rules of that name; they see what c4 has left of a text."""

    starcoder: StarCoder = StarCoder()
    """Thresholds of the rules of that name."""


class Repair(Section):
    mojibake: bool = True
    """Prose only: mend text whose UTF-8 was decoded as another encoding (`Ã©` for `é`), by ftfy. Nothing but the
    encoding is changed; texts without a trace of it are not touched (edit `mojibake`)."""

    html_entities: bool = False
    """Prose only: turn `&amp;`, `&eacute;` and the like left in the text into characters (edit `html_entity`)."""


Action = Literal["keep", "mask", "drop"]


class Personal(Section):
    email: Action = "keep"
    """Addresses: `mask` puts `<email>` in their place, `drop` drops the document (reason `personal_data`)."""

    phone: Action = "keep"
    """Numbers with a `+` and country code, and national formats of France and its neighbours (`<phone>`)."""

    iban: Action = "mask"
    """Bank accounts of the right length for their country whose check digits hold (`<iban>`)."""

    card: Action = "mask"
    """Payment cards: a known issuer's range and length, and the Luhn check (`<card>`)."""

    ip: Action = "keep"
    """IPv4 and IPv6 addresses (`<ip>`); not version numbers."""

    nir: Action = "mask"
    """French social security numbers whose key holds, Corsica's 2A and 2B included (`<nir>`)."""

    private_ips: bool = False
    """Whether addresses of private, loopback and documentation ranges count as personal."""

    code: bool = False
    """Whether code is searched too; addresses in licence headers and test data are left otherwise."""
