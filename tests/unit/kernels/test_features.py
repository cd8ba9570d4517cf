"""Hashed n-grams: the C kernel and its NumPy twin make the same rows, and the tokens are what is promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.kernels import features, features_numpy, native

needs_kernel = pytest.mark.skipif(native.library() is None, reason="the C kernels are not built")

TEXTS = st.lists(st.text("aAzé09 .\n\t-_~\0", max_size=60).map(str.encode) | st.binary(max_size=80), max_size=6)


def table(rows: features.Rows, text: int) -> dict[int, int]:
    inside = slice(rows.start[text], rows.start[text + 1])
    return dict(zip(rows.bucket[inside].tolist(), rows.count[inside].tolist(), strict=True))


def of(text: str, **asked: bool) -> dict[int, int]:
    return table(features.rows([text.encode()], features.Grams(20, **asked)), 0)


@needs_kernel
@settings(deadline=None)
@given(TEXTS, st.sampled_from([1, 7, 18]), st.booleans(), st.booleans())
def test_kernel_and_twin_agree(texts: list[bytes], bits: int, pairs: bool, marks: bool) -> None:
    made = features.rows(texts, features.Grams(bits, pairs, marks))
    twin = features_numpy.rows(texts, bits, pairs, marks)
    for ours, theirs in zip((made.bucket, made.count, made.start), twin, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_case_digits_and_runs_of_a_mark() -> None:
    assert of("Le Chat", pairs=False) == of("le chat", pairs=False)
    assert of("1789", pairs=False) == of("2024", pairs=False) != of("178", pairs=False)
    assert of("a....", pairs=False) != of("a..", pairs=False)
    assert of("a" + "." * 8, pairs=False) == of("a" + "." * 80, pairs=False)
    assert of("a\n\nb") != of("a\nb")
    assert of("a, b!", marks=False) == of("a b", marks=False)


def test_counts_tokens_and_pairs() -> None:
    assert sorted(of("one two one two").values()) == [1, 2, 2, 2]  # one, two, "one two" twice; "two one" once
    assert sum(of("one two one two", pairs=False).values()) == 4


def test_a_text_does_not_see_its_neighbour() -> None:
    alone = of("second text")
    assert table(features.rows([b"first", b"second text", b""], features.Grams(20)), 1) == alone
