"""The choice is made on the run's own text, and never in silence."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orfevre.data import documents, encoders, tokenizer
from orfevre.errors import InputError
from orfevre.tokenize import engine, given

TEXTS = ["The quick brown fox, and the dog; l'été 12345 </s>\n" * 40]


@pytest.fixture(scope="module")
def made() -> tokenizer.Tokenizer:
    return tokenizer.train([TEXTS], 400)


def test_gigatoken_is_taken_where_ids_are_equal(made: tokenizer.Tokenizer) -> None:
    for wanted in ("auto", "gigatoken"):
        chosen = engine.choose(wanted, made, TEXTS)
        assert chosen.engine == "gigatoken" and "1 texts of this run" in chosen.words


def test_the_reference_is_taken_when_asked_for(made: tokenizer.Tokenizer) -> None:
    assert engine.choose("tokenizers", made, TEXTS).engine == "tokenizers"


def test_one_other_id_is_enough_to_leave_it(
    made: tokenizer.Tokenizer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = encoders.Gigatoken.encode

    def wrong(self: encoders.Gigatoken, texts: pa.Array) -> encoders.Encoded:
        found = real(self, texts)
        changed = np.array(found.ids)
        changed[-1] ^= 1
        return encoders.Encoded(changed, found.offsets)

    monkeypatch.setattr(encoders.Gigatoken, "encode", wrong)
    chosen = engine.choose("auto", made, TEXTS)
    assert chosen.engine == "tokenizers" and "differ" in chosen.words
    assert "warning" in capsys.readouterr().err
    with pytest.raises(InputError, match=r'tokenize\.engine = "gigatoken": gigatoken\'s ids differ'):
        engine.choose("gigatoken", made, TEXTS)


def test_a_machine_without_gigatoken_encodes_and_says_so(
    made: tokenizer.Tokenizer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gigatoken.gigatoken_rs", None)
    assert engine.choose("auto", made, TEXTS).engine == "tokenizers"
    assert "pip install gigatoken" in " ".join(capsys.readouterr().err.split())


def test_the_sample_looks_into_every_source_and_is_bounded(tmp_path: Path) -> None:
    for name, count in (("a", 50_000), ("b", 3), ("c", 0)):
        rows = [
            dict.fromkeys(documents.DOCUMENTS.names, "") | {"text": f"{name}{number} " * 9} for number in range(count)
        ]
        for row in rows:
            row |= {"num_bytes": 9, "language_confidence": 0.0, "quality": 0.0}
        with documents.TableWriter(documents.path_of(tmp_path, name), documents.DOCUMENTS) as writer:
            writer.write(pa.Table.from_pylist(rows, documents.DOCUMENTS))
    texts = engine.sample(tmp_path, ["a", "b", "c"])
    assert sum(text.startswith("b") for text in texts) == 3
    numbers = [int(text.split(" ")[0][1:]) for text in texts if text.startswith("a")]
    assert max(numbers) - min(numbers) > 30_000  # from far apart
    assert 0 < sum(map(len, texts)) <= engine.SAMPLE_CHARS


def mistral_files() -> list[Path]:
    mistral_common = pytest.importorskip("mistral_common")
    folder = Path(mistral_common.__file__).parent / "data"
    return [folder / name for name in ("tokenizer.model.v1", "tekken_240911.json")]


@pytest.mark.parametrize("number", [0, 1])
def test_mistrals_tokenizers_are_taken_as_they_are(tmp_path: Path, number: int) -> None:
    path = mistral_files()[number]
    if not path.exists():
        pytest.skip(f"{path.name} is not in this version of mistral-common")
    made = given.load(path)
    assert engine.choose("gigatoken", made, TEXTS).engine == "gigatoken"
    made.save(tmp_path / "tokenizer.json")
    again = tokenizer.load(tmp_path / "tokenizer.json")
    assert (again.bos, again.eos, again.pad, again.vocab_size) == (made.bos, made.eos, made.pad, made.vocab_size)
    text = "Bonjour </s> le monde, 12345\n  été"
    assert again.encode(text) == made.encode(text)
    assert again.decode(again.encode(text)) == text


def test_a_file_that_is_no_tokenizer_of_mistrals_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    (tmp_path / "tokenizer.model").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"tokenizer\.model: not a SentencePiece model"):
        given.load(tmp_path / "tokenizer.model")
    (tmp_path / "tekken.json").write_text(json.dumps({"vocab": [{}]}))
    with pytest.raises(InputError, match=r"tekken\.json"):
        given.load(tmp_path / "tekken.json")
