"""Normalising and quality rules, each at its edges."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from orfevre.curate.normalise import normalise
from orfevre.curate.quality import judge
from orfevre.recipe import Quality

LOOSE = {
    "min_chars": 1, "min_letter_fraction": 0.0, "min_mean_word_length": 0.0, "max_mean_word_length": 1e6,
    "max_duplicate_line_fraction": 1.0, "max_line_chars": 10**6, "min_alphanumeric_fraction": 0.0,
}  # fmt: skip


def reason(text: str, is_code: bool = False, **rules: float) -> str | None:
    drop = judge(text, Quality.model_validate(LOOSE | rules), is_code)
    return drop.reason if drop else None


def test_normalise() -> None:
    assert normalise("\ufeff a\r\nb\rc\0\x07\td\x85\n\n") == "a\nb\nc\td"
    assert normalise("e\u0301te\u0301") == "été"


@given(st.text())
def test_normalise_is_idempotent_nfc_and_free_of_controls(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once and unicodedata.is_normalized("NFC", once)
    assert not [char for char in once if unicodedata.category(char) == "Cc" and char not in "\t\n"]


def test_lengths_count_characters() -> None:
    assert reason("") == "no_text"
    assert reason("é" * 199, min_chars=200) == "too_short" and reason("é" * 200, min_chars=200) is None
    assert reason("a" * 11, max_chars=10) == "too_long" and reason("a" * 10, max_chars=10) is None


def test_prose_rules() -> None:
    assert reason("ab 日本 é 123456", min_letter_fraction=0.6) == "few_letters"  # 8 of 14
    assert reason("ab 日本 é 12345", min_letter_fraction=0.6) is None  # 8 of 13
    assert reason("a b c", min_mean_word_length=1.1) == "word_length"
    assert reason("abcd abcdef", max_mean_word_length=4.9) == "word_length"
    assert reason("abcd abcdef", max_mean_word_length=5.0) is None
    lines = "one\n\n one \ntwo\nthree"  # one of four lines repeats
    assert reason(lines, max_duplicate_line_fraction=0.24) == "repeated_lines"
    assert reason(lines, max_duplicate_line_fraction=0.25) is None


def test_code_rules() -> None:
    assert reason("x" * 51 + "\ny", is_code=True, max_line_chars=50) == "long_line"
    assert reason("x" * 50 + "\ny", is_code=True, max_line_chars=50) is None
    assert reason("a1é....", is_code=True, min_alphanumeric_fraction=0.5) == "few_alphanumerics"
    assert reason("a1é...", is_code=True, min_alphanumeric_fraction=0.5) is None
    assert reason("{{{{", is_code=True) is None and reason("a b\na b", is_code=True) is None  # no prose rule for code


@given(st.text(min_size=1))
def test_every_text_is_judged(text: str) -> None:
    text = normalise(text)
    for is_code in (False, True):
        drop = judge(text, Quality(min_chars=1), is_code)
        assert (drop is not None and drop.reason == "no_text") == (not text)
