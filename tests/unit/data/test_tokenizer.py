import json
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.data import tokenizer
from orfevre.errors import InputError

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 20,
    "def fox(dog):\n    return dog.jump(12345, over=1000)\n" * 20,
    "Le renard brun saute par-dessus le chien paresseux ; l'été, ça va. " * 20,
    "<s>text</s> <pad> <s>text</s> </s> x</s>\n" * 200,  # pairs that would spell special tokens, were they merged
]


@pytest.fixture(scope="module")
def made() -> tokenizer.Tokenizer:
    return tokenizer.train([TEXTS], 600)


@pytest.fixture
def table(made: tokenizer.Tokenizer, tmp_path: Path) -> dict:
    made.save(tmp_path / "made.json")
    return json.loads((tmp_path / "made.json").read_text())


def load_changed(folder: Path, table: dict) -> tokenizer.Tokenizer:
    path = folder / "changed.json"
    path.write_text(json.dumps(table))
    return tokenizer.load(path)


@settings(max_examples=300)
@given(st.text(st.characters(codec="utf-8")))
def test_decoding_gives_the_text_back(made: tokenizer.Tokenizer, text: str) -> None:
    assert made.decode(made.encode(text)) == text


@given(st.lists(st.sampled_from(["<s>", "</s>", "<pad>", "<", "s", ">", "/", " ", "\n", "a", "é"]), max_size=30))
def test_special_tokens_in_a_text_stay_plain_text(made: tokenizer.Tokenizer, pieces: list[str]) -> None:
    text = "".join(pieces)
    ids = made.encode(text)
    assert not {made.bos, made.eos, made.pad} & set(ids)
    assert made.decode(ids) == text


def test_special_tokens_come_first_and_every_byte_has_a_token(made: tokenizer.Tokenizer) -> None:
    assert (made.bos, made.eos, made.pad) == (0, 1, 2)
    assert made.vocab_size > 259  # three special tokens, 256 bytes, merges
    for text in ("".join(map(chr, range(256))), "\U0010ffff", "\x00"):
        assert made.decode(made.encode(text)) == text


def test_digits_are_taken_at_most_three_at_a_time(made: tokenizer.Tokenizer) -> None:
    numbers = tokenizer.train([["1234567890 " * 500]], 2000)
    pieces = [numbers.decode([number]) for number in numbers.encode("12345678901234")]
    assert max(len(piece) for piece in pieces) <= 3


def test_saved_and_loaded_it_is_the_same(made: tokenizer.Tokenizer, tmp_path: Path) -> None:
    made.save(tmp_path / "tokenizer.json")
    again = tokenizer.load(tmp_path / "tokenizer.json")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]
    assert again.encode("".join(TEXTS)) == made.encode("".join(TEXTS))
    assert again.vocab_size == made.vocab_size


def test_the_plain_library_and_this_agree_on_ordinary_text(made: tokenizer.Tokenizer, tmp_path: Path) -> None:
    made.save(tmp_path / "tokenizer.json")
    plain = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert plain.encode(TEXTS[0]).ids == made.encode(TEXTS[0])


def test_training_is_deterministic_across_processes_and_threads(made: tokenizer.Tokenizer, tmp_path: Path) -> None:
    made.save(tmp_path / "here.json")
    script = (
        "import sys, json, pathlib; from orfevre.data import tokenizer;"
        "tokenizer.train(([text] for text in json.loads(sys.argv[1])), 600).save(pathlib.Path(sys.argv[2]))"
    )
    for parallel in ("false", "true"):
        other = tmp_path / f"{parallel}.json"
        subprocess.run(
            [sys.executable, "-c", script, json.dumps(TEXTS), str(other)],
            check=True,
            env={"TOKENIZERS_PARALLELISM": parallel},
        )
        assert other.read_bytes() == (tmp_path / "here.json").read_bytes()


def test_a_tiny_corpus_gives_a_smaller_vocabulary() -> None:
    assert tokenizer.train([["ab ab"]], 600).vocab_size < 270


def test_a_file_that_is_not_a_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    with pytest.raises(InputError, match=r"t\.json: cannot be read"):
        tokenizer.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"t\.json: cannot be read"):
        tokenizer.load(path)
    for text in ("", "[]", '{"model": "none"}', '{"version": "1.0"}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"t\.json: not a tokenizer\.json"):
            tokenizer.load(path)


def test_a_tokenizer_without_its_special_tokens_is_refused_with_the_remedy(table: dict, tmp_path: Path) -> None:
    table["added_tokens"] = [entry for entry in table["added_tokens"] if entry["content"] != "</s>"]
    with pytest.raises(InputError, match=r"no special token </s>; it has <pad>, <s>\. Rename"):
        load_changed(tmp_path, table)
    table["added_tokens"] = []
    with pytest.raises(InputError, match="no special token <s> and no </s> and no <pad>; it has none at all"):
        load_changed(tmp_path, table)


def test_a_special_token_that_is_not_marked_special_is_refused(table: dict, tmp_path: Path) -> None:
    table["added_tokens"][0]["special"] = False  # text that spells it would become it
    with pytest.raises(InputError, match="no special token <s>"):
        load_changed(tmp_path, table)


def test_a_tokenizer_that_loses_text_is_refused(table: dict, tmp_path: Path) -> None:
    table["normalizer"] = {"type": "Lowercase"}
    with pytest.raises(InputError, match="does not give the text back"):
        load_changed(tmp_path, table)


def test_a_tokenizer_whose_merges_spell_a_special_token_is_refused(table: dict, tmp_path: Path) -> None:
    table["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    table["model"]["merges"] = [["<", "s"], ["<s", ">"]]
    table["model"]["vocab"].setdefault("<s", max(table["model"]["vocab"].values()) + 1)
    with pytest.raises(InputError, match="becomes the special token"):
        load_changed(tmp_path, table)


def test_gaps_in_the_ids_are_refused(table: dict, tmp_path: Path) -> None:
    table["model"]["vocab"]["ĠĠĠĠĠĠĠĠĠ"] = 5000
    with pytest.raises(InputError, match="ids run to 5000"):
        load_changed(tmp_path, table)


def test_padding_and_truncation_of_a_given_file_are_switched_off(made: tokenizer.Tokenizer, tmp_path: Path) -> None:
    made.save(tmp_path / "t.json")
    plain = tokenizers.Tokenizer.from_file(str(tmp_path / "t.json"))
    plain.enable_truncation(4)
    plain.enable_padding(length=16)
    plain.save(str(tmp_path / "t.json"))
    again = tokenizer.load(tmp_path / "t.json")
    assert again.encode_batch(TEXTS) == made.encode_batch(TEXTS) == [made.encode(text) for text in TEXTS]
