"""The C kernel and its NumPy twin give the same bits, and those bits estimate the Jaccard similarity."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orfevre.kernels import minhash, minhash_numpy, native

WORDS = st.lists(st.sampled_from(["le", "Chat", "DORT", "été", "x1", "...", "\n", "œuf", "日本"]), max_size=30)


@given(texts=st.lists(st.one_of(st.text(max_size=80), WORDS.map(" ".join)), max_size=6), width=st.integers(1, 140))
@example(texts=["", " ", "one", "one two three four", "one two three four five", "a b c d e f"], width=33)
def test_the_two_implementations_agree(texts: list[str], width: int) -> None:
    if native.library() is None:
        pytest.skip("the C kernels are not built here")
    encoded = [text.encode() for text in texts]
    fast, fast_counts = minhash.signatures(encoded, width)
    slow, slow_counts = minhash_numpy.signatures(encoded, *minhash.permutations(width))
    assert np.array_equal(fast, slow) and np.array_equal(fast_counts, slow_counts)


def test_long_texts_agree_across_blocks() -> None:
    if native.library() is None:
        pytest.skip("the C kernels are not built here")
    rng = np.random.default_rng(0)
    text = " ".join(f"w{number}" for number in rng.integers(0, 5000, 20_000)).encode()
    fast, _ = minhash.signatures([text, b"short", text[:50_000]], 128)
    slow, _ = minhash_numpy.signatures([text, b"short", text[:50_000]], *minhash.permutations(128))
    assert np.array_equal(fast, slow)


def test_shingles_are_five_lower_case_words() -> None:
    upper, _ = minhash.signatures([b"The QUICK-brown fox; jumps over"], 64)
    lower, counts = minhash.signatures([b"the quick brown fox jumps over"], 64)
    assert np.array_equal(upper, lower) and counts.tolist() == [2]
    assert len(set(minhash_numpy.shingles(b"a b c d e f g").tolist())) == 3
    assert len(minhash_numpy.shingles(b"a b")) == 1 and len(minhash_numpy.shingles(b"-- !")) == 0


def test_a_text_without_words_has_the_empty_signature() -> None:
    values, counts = minhash.signatures([b"", b"?!"], 16)
    assert counts.tolist() == [0, 0] and (values == 0xFFFFFFFF).all()


@pytest.mark.parametrize("overlap", [0.2, 0.5, 0.8, 0.95])
def test_equal_values_estimate_the_jaccard_similarity(overlap: float) -> None:
    errors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        words = [f"{word:x}" for word in rng.integers(0, 2**40, 1000)]
        other = words[: round(1000 * overlap)] + [f"{word:x}" for word in rng.integers(0, 2**40, 100)]
        left, right = (" ".join(text).encode() for text in (words, other))
        a, b = (set(minhash_numpy.shingles(text).tolist()) for text in (left, right))
        values, _ = minhash.signatures([left, right], 128)
        errors.append(float(minhash.similarity(values[0], values[1])) - len(a & b) / len(a | b))
    # 40 estimates of standard error at most 0.045 each: the mean's is 0.007
    assert abs(np.mean(errors)) < 0.03 and np.std(errors) < 0.07


def test_band_keys_are_equal_exactly_when_the_rows_of_a_band_are() -> None:
    values = np.arange(24, dtype=np.uint32).reshape(2, 12)
    values[1, 4:8] = values[0, 4:8]
    keys = minhash.band_keys(values, 3)
    assert keys.shape == (3, 2)
    assert (keys[:, 0] == keys[:, 1]).tolist() == [False, True, False]
