"""The C kernel and its NumPy twin give the same bits, and those bits estimate the Jaccard similarity."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orfevre.kernels import minhash, minhash_numpy, native

WORDS = st.lists(
    st.sampled_from(
        ["le", "Chat", "DORT", "été", "ÉTÉ", "x1", "...", "\n", "œuf", "日本。", "a" * 40, "«l’eau»", "Ж", "ΣΑ"]
    ),
    max_size=30,
)
PATTERNS = st.lists(st.sampled_from([0xC2, 0xC3, 0xCE, 0xD0, 0xE2, 0xE3, *range(0x7E, 0xC2), 0x20, 0x41]), max_size=60)
TEXTS = st.one_of(st.text(max_size=80).map(str.encode), WORDS.map(" ".join).map(str.encode), PATTERNS.map(bytes))


@pytest.fixture(params=[0, 1, 2], ids=["plain", "avx2", "avx512"])
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    """The kernel limited to these instructions, where this machine has them."""
    library = native.library()
    if library is None:
        pytest.skip("the C kernels are not built here")
    if library.orfevre_text_level(request.param) != request.param:
        pytest.skip("this machine lacks these instructions")
    yield request.param
    library.orfevre_text_level(2)


@given(texts=st.lists(TEXTS, max_size=6), width=st.integers(1, 140))
@example(texts=[b"", b" ", b"one", b"one two three four", b"one two three four five", b"a b c d e f"], width=33)
@example(texts=[], width=1)
@example(texts=[b"\xc3", b"\xe2\x80", b"a\xe2", b"x" * 31 + b"\xc3\x89t\xc3\x89"], width=16)
@pytest.mark.usefixtures("level")
def test_the_two_implementations_agree(texts: list[bytes], width: int) -> None:
    fast, fast_counts = minhash.signatures(texts, width)
    slow, slow_counts = minhash_numpy.signatures(texts, *minhash.permutations(width))
    assert np.array_equal(fast, slow) and np.array_equal(fast_counts, slow_counts)
    for found, text in zip(minhash.shingles(texts), texts, strict=True):
        assert np.array_equal(found, minhash_numpy.shingles(text))


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("separator", [" ", "。", "é"])
def test_long_texts_agree_across_chunks_and_blocks(separator: str) -> None:
    rng = np.random.default_rng(0)
    text = separator.join(f"w{number}" for number in rng.integers(0, 5000, 20_000)).encode()
    texts = [text, b"short", text[:50_000], text[:16_384], text[:16_385]]
    fast, _ = minhash.signatures(texts, 80)
    slow, _ = minhash_numpy.signatures(texts, *minhash.permutations(80))
    assert np.array_equal(fast, slow)
    for found, each in zip(minhash.shingles(texts), texts, strict=True):
        assert np.array_equal(found, minhash_numpy.shingles(each))


def test_shingles_are_five_lower_case_words() -> None:
    upper, _ = minhash.signatures([b"The QUICK-brown fox; jumps over"], 64)
    lower, counts = minhash.signatures([b"the quick brown fox jumps over"], 64)
    assert np.array_equal(upper, lower) and counts.tolist() == [2]
    assert len(set(minhash_numpy.shingles(b"a b c d e f g").tolist())) == 3
    assert len(minhash_numpy.shingles(b"a b")) == 1 and len(minhash_numpy.shingles(b"-- !")) == 0


@given(st.lists(st.sampled_from([chr(c) for c in [*range(32, 256), *range(0x391, 0x3CA), *range(0x400, 0x450)]])))
def test_words_are_those_of_unicode_in_latin_greek_and_cyrillic(characters: list[str]) -> None:
    text = "".join(characters)
    # U+03C2, final sigma, is what the capital never becomes; U+03A2 is no character; a word of \w may hold "_"
    text = re.sub("[_\u03a2\u00b2\u00b3\u00b9\u00bc-\u00be]", " ", text)
    words = re.findall(r"\w+", re.sub(".", lambda one: one.group().lower(), text, flags=re.DOTALL))
    assert len(minhash_numpy.word_hashes(text.encode())) == len(words)
    assert np.array_equal(minhash_numpy.word_hashes(text.encode()), minhash_numpy.word_hashes(" ".join(words).encode()))
    assert b" ".join(minhash_numpy.fold(text.encode()).tobytes().split(b"\0")).split() == [w.encode() for w in words]


def test_a_text_without_words_has_the_empty_signature() -> None:
    values, counts = minhash.signatures([b"", b"?!"], 16)
    assert counts.tolist() == [0, 0] and (values == 0xFFFFFFFF).all()


def test_texts_in_one_buffer_have_the_signatures_of_texts_apart() -> None:
    texts = [b"one two three four five six", b"", b"seven eight", b"x"]
    buffer = np.frombuffer(b"".join(texts), np.uint8)
    apart, at = minhash.signatures(texts, 32), minhash.signatures_at(buffer, np.array([0, 27, 27, 38, 39]), 32)
    assert np.array_equal(apart[0], at[0]) and np.array_equal(apart[1], at[1])


@given(st.lists(st.sets(st.integers(0, 40), max_size=30), min_size=1, max_size=6), st.data())
def test_shared_members_and_jaccard_are_those_of_sets(groups: list[set[int]], data: st.DataObject) -> None:
    starts = np.cumsum([0, *map(len, groups)])
    members = np.array([member for group in groups for member in sorted(group)], np.uint64)
    place = st.integers(0, len(groups) - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(place, place), max_size=8)), np.int64).reshape(-1, 2)
    expected = [len(groups[a] & groups[b]) for a, b in pairs.tolist()]
    assert minhash.shared(members, starts[pairs], starts[pairs + 1]).tolist() == expected
    assert minhash_numpy.shared(members, starts[pairs], starts[pairs + 1]).tolist() == expected
    for (a, b), found in zip(pairs.tolist(), minhash.jaccard(members, starts[pairs], starts[pairs + 1]), strict=True):
        assert found == len(groups[a] & groups[b]) / max(1, len(groups[a] | groups[b]))


@given(texts=st.lists(st.lists(TEXTS, max_size=4).map(b"\n".join), max_size=4))
@example(texts=[])
@pytest.mark.usefixtures("level")
def test_lines_have_the_hashes_that_the_twin_gives_them(texts: list[bytes]) -> None:
    for (hashes, num_words), text in zip(minhash.lines(texts), texts, strict=True):
        slow, slow_words = minhash_numpy.lines(text)
        assert np.array_equal(hashes, slow) and np.array_equal(num_words, slow_words)
        assert len(hashes) == len(text.split(b"\n"))


@given(texts=st.lists(TEXTS, max_size=4))
@example(texts=[])
@example(texts=[b"a " * 20_000 + b"end", b"", b"x"])
@pytest.mark.usefixtures("level")
def test_words_have_the_places_that_the_twin_gives_them(texts: list[bytes]) -> None:
    for found, text in zip(minhash.words(texts), texts, strict=True):
        assert all(np.array_equal(own, slow) for own, slow in zip(found, minhash_numpy.words(text), strict=True))


def test_lines_are_equal_when_their_words_are() -> None:
    hashes, num_words = minhash.lines([b"Share this: page!\nshare  THIS page\npage this share\n\n..."])[0]
    assert hashes[0] == hashes[1] != hashes[2] and num_words.tolist() == [3, 3, 3, 0, 0]


def test_sets_of_shingles_have_no_repeats() -> None:
    members, starts = minhash.sets([b"a b c d e a b c d e a b c d e", b"", b"a b c d e"])
    assert starts.tolist() == [0, 5, 5, 6] and members[5] in members[:5]


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


def test_equal_rows_of_different_bands_have_different_keys() -> None:
    keys = minhash.band_keys(np.ones((1, 12), np.uint32), 3)
    assert len(np.unique(keys)) == 3
