"""The rules a document must pass, as recipe.Quality documents them. Each verdict names its reason and the figure.

The kernel counts what the rules ask for, for a batch of texts in one call; here the counts meet the thresholds. The
first rule that a text breaks is its reason: lengths, the rules that always hold, the sets that the source names.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orfevre.curate import bad_words
from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.language import UNDETERMINED
from orfevre.curate.rule_sets import RULE_SETS, Measured
from orfevre.curate.units import Unit
from orfevre.kernels import quality as kernel
from orfevre.kernels.quality_python import Measures
from orfevre.recipe import Quality, Source

_GROUPS = {
    "gopher_repetition": kernel.REPETITION, "gopher_quality": kernel.WORDS, "c4": kernel.C4, "fineweb": kernel.FINEWEB,
    "starcoder": kernel.CODE | kernel.BASIC,
}  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """The rules of one source."""

    rules: Quality
    sets: tuple[str, ...]
    asked: kernel.Asked
    languages: tuple[tuple[str, int], ...]
    """Languages whose stop words count, each with the bits of its words."""

    find_bad_words: Callable[[str], str | None] | None = None

    def __call__(self, drafts: Sequence[Draft]) -> None:
        whole = [draft for draft in drafts if not self._misses(draft)]
        if not whole:
            return
        found, lines = kernel.measure([draft.encoded for draft in whole], self.asked)
        left = lines if lines else [None] * len(whole)
        for draft, measures, kept in zip(whole, kernel.rows(found), left, strict=True):
            self._decide(draft, measures, kept)

    def _misses(self, draft: Draft) -> bool:
        draft.drop = length_drop(draft.text, self.rules)
        return draft.drop is not None

    def _decide(self, draft: Draft, measures: Measures, kept: bytes | None) -> None:
        draft.drop = _always(measures, self.rules, draft.is_code)
        for name in self.sets:
            if draft.drop is not None:
                return
            draft.drop = next(RULE_SETS[name](Measured(measures, self.rules, draft.text, self.languages)), None)
            if name == "c4" and draft.drop is None and kept is not None:
                self._take(draft, measures, kept)

    def _take(self, draft: Draft, measures: Measures, kept: bytes) -> None:
        """The text becomes the lines that C4 left."""
        if kept != draft.encoded:
            text = kept.decode()
            draft.rewrite(text, "c4_line", measures.c4_dropped_lines)
            if measures.c4_citations:
                draft.edits["c4_citation"] = draft.edits.get("c4_citation", 0) + measures.c4_citations
            draft.drop = length_drop(text, self.rules)
        if draft.drop is None and self.find_bad_words is not None:
            word = self.find_bad_words(draft.text)
            draft.drop = None if word is None else Drop("bad_words", word)


def step(unit: Unit) -> Step:
    return judge_of(unit.curate.quality, unit.source)


def judge_of(rules: Quality, source: Source) -> Judge:
    """Raises InputError when the list of bad words cannot be read."""
    named = rules.rules if source.quality is None else source.quality
    sets = tuple(name for name in RULE_SETS if name in named)
    groups = kernel.BASIC
    for name in sets:
        groups |= _GROUPS[name]
    lists = rules.gopher_quality.stop_words
    taken = lists if source.language == UNDETERMINED else {k: v for k, v in lists.items() if k == source.language}
    words = tuple(dict.fromkeys(word for own in taken.values() for word in own)) if "gopher_quality" in sets else ()
    languages = tuple(
        (language, sum(1 << words.index(word) for word in set(own))) for language, own in taken.items() if words
    )
    asked = kernel.Asked(
        groups, words, rules.c4.line_ends, rules.more_line_ends.get(source.language, ""),
        rules.fineweb.short_line_chars, _lines(rules),
    )  # fmt: skip
    listed = bad_words.finder(rules.c4.bad_words) if rules.c4.bad_words and "c4" in sets else None
    return Judge(rules, sets, asked, languages, listed)


def _lines(rules: Quality) -> kernel.Lines:
    c4 = rules.c4
    return kernel.Lines(
        remove_citations=c4.remove_citations, needs_line_end=bool(c4.line_ends), drops_javascript=c4.drop_javascript,
        refuses_lorem_ipsum=c4.refuse_lorem_ipsum, refuses_curly=c4.refuse_curly_bracket, drops_policy=c4.drop_policy,
        min_words_per_line=c4.min_words_per_line, max_word_length=c4.max_word_length,
    )  # fmt: skip


def length_drop(text: str, rules: Quality) -> Drop | None:
    """Lengths are counted in characters."""
    if not text:
        return Drop("no_text", "")
    if len(text) < rules.min_chars:
        return Drop("too_short", f"{len(text)} characters")
    if len(text) > rules.max_chars:
        return Drop("too_long", f"{len(text)} characters")
    return None


def judge(text: str, rules: Quality, is_code: bool) -> Drop | None:
    """The first of the rules that always hold that a normalised text breaks, or None."""
    drop = length_drop(text, rules)
    if drop is not None:
        return drop
    found, _ = kernel.measure([text.encode()], kernel.Asked(kernel.BASIC))
    return _always(kernel.rows(found)[0], rules, is_code)


def _always(measures: Measures, rules: Quality, is_code: bool) -> Drop | None:
    return next(_code(measures, rules) if is_code else _prose(measures, rules), None)


def _code(measures: Measures, rules: Quality) -> Iterator[Drop]:
    if measures.longest_line > rules.max_line_chars:
        yield Drop("long_line", f"{measures.longest_line} characters in one line")
    share = measures.alphanumerics / measures.num_chars
    if share < rules.min_alphanumeric_fraction:
        yield Drop("few_alphanumerics", f"{share:.3f} of characters are letters or digits")


def _prose(measures: Measures, rules: Quality) -> Iterator[Drop]:
    share = measures.letters_or_spaces / measures.num_chars
    if share < rules.min_letter_fraction:
        yield Drop("few_letters", f"{share:.3f} of characters are letters or white space")
    mean = measures.run_chars / max(1, measures.num_runs)
    if not rules.min_mean_word_length <= mean <= rules.max_mean_word_length:
        yield Drop("word_length", f"mean of {mean:.2f} characters")
    repeated = measures.repeated_lines / max(1, measures.filled_lines)
    if repeated > rules.max_duplicate_line_fraction:
        yield Drop("repeated_lines", f"{repeated:.3f} of lines repeat an earlier one")
