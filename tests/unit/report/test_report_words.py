"""Numbers are written as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.report import words

PLAIN = str.maketrans({words.NARROW: " "})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.count(1234567), "1 234 567"),
        (words.amount(12345678, "B"), "12.3 MB"),
        (words.amount(999, "B"), "999 B"),
        (words.amount(999_900, "B"), "1.00 MB"),
        (words.digits(0.01234), "0.0123"),
        (words.digits(4.53e-7), "4.53 × 10⁻⁷"),
        (words.scientific(1.84e15, "FLOP"), "1.84 × 10¹⁵ FLOP"),
        (words.large(46_702_792_704), "46.7 billion"),
        (words.large(999_999), "999 999"),
        (words.share(-0.051), "−5.1 %"),
        (words.loss(-0.01234, signed=True), "−0.0123"),
        (words.euros(170_975.4), "€ 170 975"),
        (words.euros(2_500_000), "€ 2.50 M"),
        (words.euros(0.0000021), "under € 0.01"),
        (words.energy(0.0148), "14.8 Wh"),
        (words.mass(9780), "9.78 t"),
        (words.duration(402), "6 min 42 s"),
        (words.duration(59.97), "60.0 s"),
        (words.duration(3600 * 244), "10 d 4 h"),
        (words.hours(125348.2), "125 348 h"),
        (words.between([1.0, None]), "1.0000 to —"),
        (words.listing(["a", "b", "c"]), "a, b and c"),
        (words.sentence("it holds"), "It holds."),
    ],
)
def test_written(written: str, expected: str) -> None:
    assert written.translate(PLAIN) == expected


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_digits_keep_the_value_to_half_a_unit_of_the_third_digit(number: float) -> None:
    text = words.digits(number).replace(words.NARROW, "").replace("−", "-")
    back = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")).replace("×10", "e")
    assert float(back) == pytest.approx(number, rel=0.0051)


WRITERS = (words.count, words.digits, words.scientific, words.share, words.loss, words.times, words.euros, words.energy,
           words.mass, words.duration, words.large, words.hours)  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_a_null_is_a_dash(write: object) -> None:
    assert callable(write)
    assert write(None) == words.NONE
