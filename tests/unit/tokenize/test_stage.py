import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from orfevre import recipe
from orfevre.data import documents, encoders, fertility, shards, tokenizer
from orfevre.errors import InputError
from orfevre.tokenize import encode, stage

TEXT = "the model reads text and <s> learns </s> what comes next <pad> été 文字 12345 ( ) [ ] return def x = 0\n"
WORDS = TEXT.split(" ")


def make_documents(name: str, count: int) -> list[dict[str, Any]]:
    rng = random.Random(name)
    rows = []
    for number in range(count):
        text = " ".join(rng.choices(WORDS, k=rng.randrange(5, 60)))
        rows.append(
            dict.fromkeys(documents.DOCUMENTS.names)
            | {
                "id": f"{number:016x}",
                "source": name,
                "text": text,
                "num_bytes": len(text.encode()),
                "split": "validation" if number % 5 == 2 else "train",
            }
        )
    return rows


def write(curated: Path, name: str, rows: list[dict[str, Any]]) -> None:
    with documents.TableWriter(documents.path_of(curated, name), documents.DOCUMENTS) as writer:
        writer.write(pa.Table.from_pylist(rows, documents.DOCUMENTS))


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    folder = tmp_path / "curate"
    for name, count in (("prose", 200), ("code", 73)):
        write(folder, name, make_documents(name, count))
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "PART_BYTES", 4000)
    monkeypatch.setattr(encode, "BATCH_BYTES", 1500)


@pytest.fixture
def tiny(table: dict[str, Any]) -> recipe.Recipe:
    table |= {"tokenize": {"vocab_size": 400}, "runner": {"kind": "inline"}}
    return recipe.from_table(table, "tiny.toml")


def make(tiny: recipe.Recipe, curated: Path, out: Path, **changes: Any) -> Path:
    out.mkdir(exist_ok=True)
    stage.run(tiny.model_copy(update=changes), {"curate": curated}, out)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_document_comes_back_from_its_shard(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    out = make(tiny, curated, tmp_path / "out")
    made, index = tokenizer.load(out / "tokenizer.json"), shards.read_index(out)
    for name in ("prose", "code"):
        rows = documents.path_of(curated, name)
        for split in shards.SPLITS:
            shard = shards.open_shard(out, name, split)
            texts = list(documents.texts(rows, split))
            assert shard.num_documents == len(texts) == getattr(index.sources[name], split).documents
            for number, text in enumerate(texts):
                tokens = shard.tokens[shard.documents[number] : shard.documents[number + 1]].tolist()
                assert (tokens[0], tokens[-1]) == (index.bos, index.eos)
                assert not {index.bos, index.eos, index.pad} & set(tokens[1:-1])  # "</s>" in the text is text
                assert made.decode(tokens) == text
                assert shard.num_bytes[number] == len(text.encode())


def test_the_folder_holds_what_the_contract_says_and_no_more(
    tiny: recipe.Recipe, curated: Path, tmp_path: Path
) -> None:
    out = make(tiny, curated, tmp_path / "out")
    suffixes = (".bin", ".documents.npy", ".bytes.npy", ".ids.txt")
    wanted = {
        f"shards/{name}/{split}{end}" for name in ("prose", "code") for split in shards.SPLITS for end in suffixes
    }
    assert contents(out).keys() == {"tokenizer.json", "index.json", "fertility.json", *wanted}
    index = json.loads((out / "index.json").read_text())
    assert index.keys() == {"vocab_size", "dtype", "bos", "eos", "pad", "sources"}
    assert list(index["sources"]) == ["prose", "code"]


def test_documents_and_bytes_are_conserved(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    tally = stage.run(tiny, {"curate": curated}, tmp_path / "out")
    index = shards.read_index(tmp_path / "out")
    splits = [getattr(source, split) for source in index.sources.values() for split in shards.SPLITS]
    rows = [*make_documents("prose", 200), *make_documents("code", 73)]
    assert sum(split.bytes for split in splits) == sum(row["num_bytes"] for row in rows)
    assert tally.counts["documents"] == sum(split.documents for split in splits) == 273
    assert tally.counts["tokens"] == sum(split.tokens for split in splits)
    assert tally.counts["vocab_size"] == index.vocab_size


def test_pool_and_inline_and_any_size_of_part_give_the_same_bytes(
    tiny: recipe.Recipe, curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = contents(make(tiny, curated, tmp_path / "inline"))
    pool = make(tiny, curated, tmp_path / "pool", runner=recipe.Runner(kind="pool", workers=2))
    assert contents(pool) == inline
    for size in (500, 10**9):
        monkeypatch.setattr(encode, "PART_BYTES", size)
        assert contents(make(tiny, curated, tmp_path / f"parts of {size}")) == inline


def test_parts_cover_every_row_once(curated: Path, tmp_path: Path) -> None:
    parts = encode.cut(encode.measure(curated, "prose"), tmp_path / "t", "gigatoken", tmp_path)
    assert len(parts) > 3
    assert [row for part in parts for row in range(part.first, part.last)] == list(range(200))
    assert len({part.folder for part in parts}) == len(parts)


@pytest.mark.parametrize("finished", [0, 1, 3, 8])
def test_resuming_after_a_kill_gives_the_same_bytes_and_keeps_finished_parts(
    tiny: recipe.Recipe, curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    whole = contents(make(tiny, curated, tmp_path / "whole"))
    real, calls = encode.encode, []

    def killed(part: encode.Part) -> None:
        if len(calls) == finished:
            folder = part.folder / "shards" / part.source  # what a kill in the middle of a part leaves
            folder.mkdir(parents=True)
            (folder / "train.bin").write_bytes(b"half a")
            (folder / ".validation.bin.aside").write_bytes(b"h")
            raise KeyboardInterrupt
        calls.append(part.folder)
        real(part)

    monkeypatch.setattr(encode, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tiny, curated, tmp_path / "out")
    done, again = set(calls), []
    monkeypatch.setattr(encode, "encode", lambda part: (again.append(part.folder), real(part))[1])
    assert contents(make(tiny, curated, tmp_path / "out")) == whole
    assert len(done) == finished
    assert not done & set(again)


def test_a_kill_while_joining_or_cleaning_up_is_mended(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    out = make(tiny, curated, tmp_path / "out")
    whole = contents(out)
    (out / "index.json").unlink()  # joined one source, no index yet, parts gone
    (out / "shards/code/train.bin").write_bytes(b"half")
    assert contents(make(tiny, curated, out)) == whole
    (out / ".parts/prose-00000").mkdir(parents=True)  # killed while the parts were being deleted
    assert contents(make(tiny, curated, out)) == whole
    assert not (out / ".parts").exists()


def test_a_given_tokenizer_is_used_as_it_is(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.json"
    tokenizer.train([["other words entirely, other words"] * 3], 300).save(given)
    (tmp_path / "out").mkdir()
    changed = tiny.model_copy(update={"tokenize": recipe.Tokenize(file=str(given))})
    tally = stage.run(changed, {"curate": curated}, tmp_path / "out")
    assert json.loads((tmp_path / "out/tokenizer.json").read_text()) == json.loads(given.read_text())
    assert "tokenize.file" in tally.notes["tokenizer"]


def test_a_given_tokenizer_that_cannot_serve_is_refused(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json"):
        make(tiny, curated, tmp_path / "out", tokenize=recipe.Tokenize(file=str(tmp_path / "nowhere.json")))


def test_a_vocabulary_smaller_than_asked_is_said(
    tiny: recipe.Recipe, curated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    changed = tiny.model_copy(update={"tokenize": recipe.Tokenize(vocab_size=9000)})
    tally = stage.run(changed, {"curate": curated}, tmp_path / "out")
    index = shards.read_index(tmp_path / "out")
    assert index.vocab_size == tally.counts["vocab_size"] < 9000
    assert f"{index.vocab_size} entries instead of the 9000 of tokenize.vocab_size" in tally.notes["tokenizer"]
    assert "instead of the 9000" in capsys.readouterr().err


def test_validation_text_does_not_shape_the_tokenizer(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    before = (make(tiny, curated, tmp_path / "before") / "tokenizer.json").read_bytes()
    rows = make_documents("prose", 200)
    for row in rows:
        if row["split"] == "validation":
            row["text"] = "zyxwv " * 100
            row["num_bytes"] = 600
    write(curated, "prose", rows)
    assert (make(tiny, curated, tmp_path / "after") / "tokenizer.json").read_bytes() == before


def test_an_empty_source_is_written_empty_and_said(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    write(curated, "code", [])
    (tmp_path / "out").mkdir()
    tally = stage.run(tiny, {"curate": curated}, tmp_path / "out")
    assert tally.notes["empty code"] == "source code has no train and no validation document"
    assert shards.open_shard(tmp_path / "out", "code", "train").num_documents == 0


def test_no_text_at_all_is_refused(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    for name in ("prose", "code"):
        write(curated, name, [row for row in make_documents(name, 20) if row["split"] == "validation"])
    with pytest.raises(InputError, match="no training document in any source"):
        make(tiny, curated, tmp_path / "out")


def test_damaged_documents_are_refused_by_name(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    path = documents.path_of(curated, "code")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"documents/code\.parquet: cannot be read"):
        make(tiny, curated, tmp_path / "out")
    shutil.rmtree(curated)
    with pytest.raises(InputError, match=r"documents/prose\.parquet: cannot be read"):
        make(tiny, curated, tmp_path / "other")


def test_the_engines_write_the_same_shards_and_the_ledger_says_which(
    tiny: recipe.Recipe, curated: Path, tmp_path: Path
) -> None:
    made = {}
    for engine in ("gigatoken", "tokenizers"):
        (tmp_path / engine).mkdir()
        changed = tiny.model_copy(update={"tokenize": recipe.Tokenize(vocab_size=400, engine=engine)})
        tally = stage.run(changed, {"curate": curated}, tmp_path / engine)
        assert engine in tally.notes["engine"]
        made[engine] = contents(tmp_path / engine)
    assert made["gigatoken"] == made["tokenizers"]


def test_fertility_counts_the_text_of_each_language(tiny: recipe.Recipe, curated: Path, tmp_path: Path) -> None:
    rows = make_documents("prose", 200)
    for number, row in enumerate(rows):
        row["language"] = ("en", "fr", "")[number % 3]
    write(curated, "prose", rows)
    out = make(tiny, curated, tmp_path / "out")
    found = fertility.read(out).sources["prose"]
    made = tokenizer.load(out / "tokenizer.json")
    assert list(found) == ["en", "fr", "und"]
    for name, amount in found.items():
        texts = [row["text"] for row in rows if (row["language"] or "und") == name]
        assert amount.model_dump() == {
            "documents": len(texts),
            "bytes": sum(len(text.encode()) for text in texts),
            "characters": sum(map(len, texts)),
            "words": sum(len(text.split()) for text in texts),
            "tokens": sum(len(made.encode(text)) for text in texts),
        }


def test_tokens_that_lose_text_are_refused(
    tiny: recipe.Recipe, curated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = encoders.Gigatoken.encode

    def losing(self: encoders.Gigatoken, texts: Any) -> encoders.Encoded:
        found = real(self, texts)
        return encoders.Encoded(found.ids[:-1], np.minimum(found.offsets, len(found.ids) - 1))

    whole = make(tiny, curated, tmp_path / "whole")
    part = encode.cut(encode.measure(curated, "code"), whole / "tokenizer.json", "gigatoken", tmp_path / "parts")[0]
    monkeypatch.setattr(encoders.Gigatoken, "encode", losing)
    encode._loaded.cache_clear()
    with pytest.raises(InputError, match="and its tokens spell"):
        encode.encode(part)


def test_parts_end_with_row_groups_and_cut_only_large_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "PART_BYTES", 100)
    sizes = [40] * 5 + [30] * 20 + [10] * 3
    source = encode.Source("a", tmp_path, np.array(sizes), np.ones(len(sizes), np.bool_), np.cumsum([2, 3, 20, 1, 2]))
    bounds = [part.first for part in encode.cut(source, tmp_path, "gigatoken", tmp_path)]
    assert bounds[:2] == [0, 5]  # two groups fill a part; the third, of 600 bytes, is cut inside
    assert 25 in bounds and len(bounds) == 2 + 5 + 1
