"""gigatoken gives the reference's ids, or is not taken."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.data import encoders, tokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 20,
    "def fox(dog):\n    return dog.jump(12345, over=1000)  # XMLHttpRequest\n" * 20,
    "Le renard brun saute par-dessus le chien paresseux ; l'été, ça va. हिन्दी में\n" * 20,
    "<s>text</s> <pad> <s>text</s> </s> x</s>\n" * 200,
]
PIECES = ["<s>", "</s>", "<pad>", "'s", "'LL", " ", "\n", "\r\n", "\t", "/", "a", "É", "ß", "12", "文", "e\u0301", "😀"]
ANY = st.one_of(st.text(st.characters(codec="utf-8")), st.lists(st.sampled_from(PIECES)).map("".join))


@pytest.fixture(scope="module")
def made() -> tokenizer.Tokenizer:
    return tokenizer.train([TEXTS], 700)


@pytest.fixture(scope="module")
def fast(made: tokenizer.Tokenizer) -> encoders.Gigatoken:
    return encoders.Gigatoken(made)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(ANY, max_size=6))
def test_both_engines_give_the_ids_of_the_tokenizer(
    made: tokenizer.Tokenizer, fast: encoders.Gigatoken, texts: list[str]
) -> None:
    expected = [made.encode(text) for text in texts]
    for engine in (fast, encoders.encoder("tokenizers", made)):
        found = engine.encode(pa.array(texts, pa.string()))
        assert (found.ids.dtype, found.offsets.dtype) == (np.dtype(np.uint32), np.dtype(np.int64))
        assert [found.ids[a:b].tolist() for a, b in zip(found.offsets, found.offsets[1:], strict=False)] == expected


@pytest.mark.parametrize("engine", ["gigatoken", "tokenizers"])
def test_special_tokens_in_a_text_stay_plain_text(made: tokenizer.Tokenizer, engine: str) -> None:
    found = encoders.encoder(engine, made).encode(pa.array(["a </s><s> <pad>b", "</s>"]))
    assert not {made.bos, made.eos, made.pad} & set(found.ids.tolist())
    assert made.decode(found.ids.tolist()) == "a </s><s> <pad>b</s>"


def test_a_slice_is_encoded_as_if_it_were_alone(made: tokenizer.Tokenizer, fast: encoders.Gigatoken) -> None:
    for texts in (pa.array(["no", "one", "two", "no"]).slice(1, 2), pa.array(["no", "one", "two"]).slice(3)):
        found = fast.encode(texts)
        assert found.ids.tolist() == [number for text in texts.to_pylist() for number in made.encode(text)]
        assert len(found.offsets) == len(texts) + 1


def test_starting_again_changes_no_id(
    made: tokenizer.Tokenizer, fast: encoders.Gigatoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fast.encode(pa.array(TEXTS)).ids
    monkeypatch.setattr(encoders, "RENEW_BYTES", 0)
    loads = []
    again = encoders.Gigatoken(made)
    load = again._load
    again._load = lambda text: (loads.append(1), load(text))[1]
    for _ in range(3):
        assert np.array_equal(again.encode(pa.array(TEXTS)).ids, expected)
    assert len(loads) == 2


def test_byte_sizes_spell_every_text(made: tokenizer.Tokenizer) -> None:
    sizes = encoders.byte_sizes(made)
    assert sizes is not None
    for text in TEXTS:
        assert sizes[made.encode(text)].sum() == len(text.encode())


def test_byte_sizes_are_not_claimed_where_text_is_changed_first(made: tokenizer.Tokenizer) -> None:
    for change in ({"normalizer": {"type": "NFC"}}, {"decoder": None}):
        other = tokenizer.Tokenizer(made._inner, made.table | change)
        assert encoders.byte_sizes(other) is None


def test_a_pattern_that_gigatoken_does_not_know_is_said(made: tokenizer.Tokenizer, tmp_path: Path) -> None:
    table = json.loads(json.dumps(made.table))
    table["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"[a-z]+|[^a-z]+"}
    (tmp_path / "t.json").write_text(json.dumps(table))
    with pytest.raises(encoders.CannotServe, match=r"cannot take this tokenizer \(.*pattern|regex"):
        encoders.Gigatoken(tokenizer.load(tmp_path / "t.json"))


def test_a_panic_becomes_words_and_a_stop_stays_a_stop() -> None:
    class PanicException(BaseException):
        pass

    with pytest.raises(encoders.CannotServe, match="index out of bounds"), encoders.faults():
        raise PanicException("index out of bounds\nnote: more")
    with pytest.raises(KeyboardInterrupt), encoders.faults():
        raise KeyboardInterrupt
