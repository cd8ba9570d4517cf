"""Decisions, reasons and rewritten texts equal to datatrove's filters, given the same words and sentences.

datatrove is no dependency: it is asked for at the oracle's door (extra `benchmark`) and the test skips without it.
"""

import importlib.util
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from orfevre.curate.draft import Draft
from orfevre.curate.quality import Judge, judge_of
from orfevre.data.readers.record import Facts
from orfevre.kernels import classes, quality_python
from orfevre.recipe import Quality, Source
from places import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("datatrove") is None, reason="datatrove is not installed"),
]

REASONS = {
    "dup_para_frac": "duplicate_paragraphs", "dup_para_char_frac": "duplicate_paragraph_chars",
    "dup_line_frac": "duplicate_lines", "dup_line_char_frac": "duplicate_line_chars",
    **{f"top_{n}_gram": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"duplicate_{n}_gram" for n in range(5, 11)},
    "gopher_short_doc": "few_words", "gopher_long_doc": "many_words", "gopher_below_avg_threshold": "short_words",
    "gopher_above_avg_threshold": "long_words", "gopher_too_many_hashes": "many_hashes",
    "gopher_too_many_ellipsis": "many_ellipses", "gopher_too_many_bullets": "bullet_lines",
    "gopher_too_many_end_ellipsis": "ellipsis_lines", "gopher_below_alpha_threshold": "few_alphabetic_words",
    "gopher_enough_stop_words": "few_stop_words", "lorem_ipsum": "lorem_ipsum", "curly_bracket": "curly_bracket",
    "too_few_sentences": "few_sentences", "line_punct_ratio": "few_ended_lines", "short_line_ratio": "short_lines",
    "char_dup_ratio": "duplicate_chars", "list_ratio": "list", "empty": "no_text",
}  # fmt: skip
"""datatrove's names and ours."""

SETS = ("gopher_repetition", "gopher_quality", "c4", "fineweb")


class OurWords:
    """A word tokenizer for datatrove that knows words and sentences as orfevre does."""

    def word_tokenize(self, text: str) -> list[str]:
        return quality_python.words(text)

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [(0, 0)] * quality_python.sentences(text, classes.terminals())


@pytest.fixture
def filters(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from datatrove.pipeline import filters as peers
    from datatrove.utils import text, word_tokenizers

    monkeypatch.setattr(word_tokenizers, "load_word_tokenizer", lambda language: OurWords())
    text.split_into_parts.cache_clear()
    return {
        "gopher_repetition": peers.GopherRepetitionFilter(), "gopher_quality": peers.GopherQualityFilter(),
        "c4": peers.C4QualityFilter(), "fineweb": peers.FineWebQualityFilter(),
    }  # fmt: skip


def judge(sets: tuple[str, ...]) -> Judge:
    source = Source.model_validate(
        {"name": "s", "paths": ["x"], "format": "text", "licence": "CC0-1.0", "language": "en", "quality": sets}
    )
    always = {
        "min_chars": 1, "max_chars": 10**9, "min_letter_fraction": 0, "min_mean_word_length": 0,
        "max_mean_word_length": 1e9, "max_duplicate_line_fraction": 1,
    }  # fmt: skip
    return judge_of(Quality.model_validate(always), source)


def theirs(text: str, chain: list[Any]) -> tuple[str | None, str]:
    from datatrove.data import Document

    document = Document(text=text, id="0")
    for each in chain:
        outcome = each.filter(document)
        if outcome is not True:
            return REASONS[outcome[1]], document.text
    return None, document.text


def ours(texts: list[str], rules: Judge) -> Iterator[tuple[str | None, str]]:
    drafts = [Draft("here", text, Facts(), False, "en") for text in texts]
    rules(drafts)
    for draft in drafts:
        yield (draft.drop.reason if draft.drop else None), draft.text


def generated(count: int) -> Iterator[str]:
    """Texts at the rules' edges: repeated lines and words, bullets, ellipses, blank paragraphs, rare characters."""
    draw = random.Random(11)
    words = [
        "the",
        "of",
        "and",
        "river",
        "a",
        "l'eau",
        "…",
        "...",
        "#",
        "-",
        "•",
        "12",
        "😀",
        "日本",
        "é",
        "Word,",
        "end.",
    ]
    for _ in range(count):
        lines = []
        for _ in range(draw.randrange(1, 25)):
            kind = draw.random()
            if lines and kind < draw.choice((0.0, 0.3, 0.7)):
                lines.append(draw.choice(lines))
            elif kind < 0.8:
                line = " ".join(draw.choices(words, k=draw.randrange(1, 30)))
                lines.append(draw.choice(("", "", "- ", "• ", "  ", "\u00a0")) + line + draw.choice('..?!"»…x;'))
            else:
                lines.append(
                    draw.choice(("", " ", "\t", "[1]", "{", "JavaScript is on.", "Use cookies for all of it."))
                )
        yield "x" + draw.choice(("\n", "\n\n", "\n\n\n", "\u2028\n")).join(lines)


def real(limit: int) -> Iterator[str]:
    zstandard = pytest.importorskip("zstandard")
    for name in ("wiki_en", "techdocs_en", "news_en", "code_c", "techdocs_fr", "dialogue_en"):
        path = ROOT.parent / "shared" / "data" / "text" / f"{name}.jsonl.zst"
        if not path.is_file():
            pytest.skip(f"{path} is not here")
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(limit), lines, strict=False):
                yield json.loads(line)["text"]


def compare(texts: list[str], filters: dict[str, Any]) -> int:
    drops = 0
    for sets in (*((name,) for name in SETS), SETS):
        chain = [filters[name] for name in sets]
        for text, own in zip(texts, ours(texts, judge(sets)), strict=True):
            peer = theirs(text, chain)
            drops += peer[0] is not None
            assert own[0] == peer[0], (sets, text)
            if own[0] is None:
                assert own[1] == peer[1]
    return drops


def test_generated_texts(filters: dict[str, Any]) -> None:
    assert compare(list(generated(1500)), filters) > 1000


def test_real_texts(filters: dict[str, Any]) -> None:
    assert compare(list(real(120)), filters) > 100


def test_character_sets_are_the_same() -> None:
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

    assert classes.terminals() == TERMINAL_PUNCTUATION and classes.marks() == PUNCTUATION_SET
