"""Hugging Face dataset folders, a record's own fields, PDF files."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.data.test_fuzz_readers import pdf

from orfevre import recipe
from orfevre.data import huggingface, sources
from orfevre.data.readers.pdf import read_pdf
from orfevre.data.readers.reader import read
from orfevre.data.readers.record import Broken, Item, Record
from orfevre.data.sources import SourceFile
from orfevre.errors import InputError
from orfevre.recipe import Curate, Reading, Recipe, Source

CARD = """---
license:
- cc-by-sa-4.0
- gfdl   # both
language: [fr]
tags: [x]
---
# A dataset
"""


Make = Callable[..., Recipe]


@pytest.fixture
def recipe_of(table: dict[str, Any]) -> Make:
    def made(**source: Any) -> Recipe:
        first, *rest = table["sources"]
        first = first | {"licence": "unknown", "language": "fr", "format": "huggingface"} | source
        return recipe.from_table(table | {"sources": [first, *rest]}, "tiny.toml")

    return made


def items_of(made: Recipe) -> list[Item]:
    source = made.sources[0]
    return [item for file in sources.resolve(made, source) for item in read(source, file, Curate())]


def texts_of(made: Recipe) -> list[str]:
    items = items_of(made)
    assert all(isinstance(item, Record) for item in items)
    return [item.text or "" for item in items]


def save_to_disk(folder: Path, texts: list[str], split: str) -> None:
    """What datasets.Dataset.save_to_disk leaves, with a stale cache beside it."""
    folder.mkdir(parents=True)
    table = pa.table({"text": texts})
    for index, part in enumerate((table.slice(0, 1), table.slice(1))):
        with pa.ipc.new_stream(folder / f"data-{index:05d}-of-00002.arrow", table.schema) as writer:
            writer.write_table(part)
    (folder / "cache-1f.arrow").write_bytes(b"stale")
    files = [{"filename": f"data-{index:05d}-of-00002.arrow"} for index in range(2)]
    state = {"_data_files": files, "_split": split, "_fingerprint": "f"}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"license": "etalab-2.0", "features": {}}))


def test_a_saved_dataset(recipe_of: Make, tmp_path: Path) -> None:
    save_to_disk(tmp_path / "one", ["a", "b", "c"], "train")
    items = items_of(recipe_of(paths=[str(tmp_path / "one")]))
    assert [item.text for item in items] == ["a", "b", "c"]
    assert {item.facts.licence for item in items if isinstance(item, Record)} == {"etalab-2.0"}


def test_splits_of_a_saved_dictionary(recipe_of: Make, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split, texts in (("train", ["a", "b"]), ("test", ["c", "d"])):
        save_to_disk(tmp_path / "d" / split, texts, split)
    paths = [str(tmp_path / "d")]
    assert texts_of(recipe_of(paths=paths, split="train")) == ["a", "b"]
    assert texts_of(recipe_of(paths=paths, split="test")) == ["c", "d"]
    assert sorted(texts_of(recipe_of(paths=paths))) == ["a", "b", "c", "d"]
    with pytest.raises(InputError, match="no file of split 'dev'"):
        items_of(recipe_of(paths=paths, split="dev"))


def test_a_saved_dataset_that_is_not_whole_is_refused(recipe_of: Make, tmp_path: Path) -> None:
    save_to_disk(tmp_path / "one", ["a", "b"], "train")
    (tmp_path / "one/data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"lists data-00001-of-00002\.arrow, which is not there"):
        items_of(recipe_of(paths=[str(tmp_path / "one")]))
    (tmp_path / "one/state.json").write_text("{")
    with pytest.raises(InputError, match="not what save_to_disk writes"):
        items_of(recipe_of(paths=[str(tmp_path / "one")]))


def checkout(write: Any) -> None:
    """What a dataset's repository looks like. `write(name, bytes)`."""
    parquet = io.BytesIO()
    pq.write_table(pa.table({"text": ["un", "deux"], "licence": ["MIT", None]}), parquet)
    write("README.md", CARD.encode())
    write(".gitattributes", b"*.parquet filter=lfs")
    write(".git/x.parquet", b"no data")
    write("data/train-00000-of-00001.parquet", parquet.getvalue())
    write("data/validation.jsonl", b'{"text": "trois"}\n')


def test_a_checkout_with_its_card(recipe_of: Make, tmp_path: Path) -> None:
    def write(name: str, data: bytes) -> None:
        path = tmp_path / "hub" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    checkout(write)
    paths = [str(tmp_path / "hub")]
    first, second = items_of(recipe_of(paths=paths, split="train", fields={"licence": "licence"}))
    assert isinstance(first, Record) and (first.text, first.facts.licence, first.facts.language) == ("un", "MIT", "fr")
    assert isinstance(second, Record) and second.facts.licence == "cc-by-sa-4.0 AND gfdl"
    assert texts_of(recipe_of(paths=paths, split="val")) == ["trois"]
    assert texts_of(recipe_of(paths=paths)) == ["un", "deux", "trois"]


def test_a_checkout_behind_a_url(recipe_of: Make) -> None:
    files = fsspec.filesystem("memory")
    checkout(lambda name, data: files.pipe(f"/hub-of-this-test/{name}", data))
    (item, _) = items_of(recipe_of(paths=["memory://hub-of-this-test"], split="train"))
    assert isinstance(item, Record) and (item.text, item.facts.licence) == ("un", "cc-by-sa-4.0 AND gfdl")


def test_a_folder_without_data_is_refused(recipe_of: Make, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputError, match="is it a dataset"):
        items_of(recipe_of(paths=[str(tmp_path)]))


@pytest.mark.parametrize(
    ("head", "licence", "language"),
    [
        ("license: mit\nlanguage: en", "mit", "en"),
        ("license: 'apache-2.0'\nlanguage:\n  - fr\n  - en", "apache-2.0", ""),
        ("license: [mit, cc0-1.0]", "mit AND cc0-1.0", ""),
        ("licenses: mit", "", ""),
    ],
)
def test_cards(head: str, licence: str, language: str) -> None:
    def only_the_card(path: str) -> bytes:
        if path != "x/README.md":
            raise FileNotFoundError
        return f"---\n{head}\n---\n".encode()

    card = huggingface.card_of("x/data/a.parquet", only_the_card)
    assert card == huggingface.Card(licence, language if licence else "")


def test_fields_of_json_lines_and_columns(recipe_of: Make, tmp_path: Path) -> None:
    row = {"text": "a", "url_or_path": "http://x.org", "when": "2024-03-01", "n": 7, "l": None, "o": {"x": 1}}
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row) + "\n")
    fields = {"url": "url_or_path", "date": "when", "title": "n", "licence": "l", "language": "o"}
    (item,) = items_of(recipe_of(paths=[str(path)], format="jsonl", fields=fields))
    assert isinstance(item, Record)
    facts = item.facts
    assert (facts.url, facts.date, facts.title, facts.licence, facts.language) == (
        "http://x.org", "2024-03-01", "7", "", ""
    )  # fmt: skip
    table = pa.table({"text": ["a"], "when": [datetime(2024, 3, 1, 12, tzinfo=UTC)]})
    pq.write_table(table, tmp_path / "x.parquet")
    (item,) = items_of(recipe_of(paths=[str(tmp_path / "x.parquet")], format="parquet", fields={"date": "when"}))
    assert isinstance(item, Record) and item.facts.date == "2024-03-01T12:00:00+00:00"
    with pytest.raises(InputError, match=r"no column 'gone'; set fields\.url to one of text, when"):
        items_of(recipe_of(paths=[str(tmp_path / "x.parquet")], format="parquet", fields={"url": "gone"}))


def test_arrow_files_and_streams_are_read(recipe_of: Make, tmp_path: Path) -> None:
    table = pa.table({"text": ["a", None, "c"]})
    for new in (pa.ipc.new_stream, pa.ipc.new_file):
        with new(tmp_path / "x.arrow", table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(InputError, match="no column 'body'; set text_field to one of text"):
            items_of(recipe_of(paths=[str(tmp_path / "x.arrow")], text_field="body"))
        items = items_of(recipe_of(paths=[str(tmp_path / "x.arrow")]))
        assert [item.text for item in items] == ["a", None, "c"]
        assert isinstance(items[1], Broken) and items[1].number == 2


def test_a_bomb_by_its_own_metadata_is_refused(recipe_of: Make, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": ["0" * 70_000_000]}), tmp_path / "x.parquet", use_dictionary=False, compression="zstd"
    )
    (item,) = items_of(recipe_of(paths=[str(tmp_path / "x.parquet")], format="parquet"))
    assert isinstance(item, Broken) and "max_ratio" in item.detail


def test_pdf_text_by_page() -> None:
    (item,) = read_pdf(pdf("First page.", "Second page."), Reading())
    assert isinstance(item, Record) and item.text == "First page.\n\nSecond page."
    assert item.facts.media_type == "application/pdf" and len(item.facts.raw_sha256) == 64


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (pdf("", ""), {}, "no_text"),
        (pdf("a", "b", "c"), {"max_pages": 2}, "too_long"),
        (pdf("a" * 50, "b" * 50), {"max_record_bytes": 60}, "too_long"),
        (b"%PDF-1.4\nnothing", {}, "broken_record"),
        (b"", {}, "broken_record"),
        (pdf(*["some text"] * 400), {"max_seconds": 0.001}, "timeout"),
    ],
)
def test_pdf_limits_and_damage(data: bytes, limits: dict[str, Any], reason: str) -> None:
    (item,) = read_pdf(data, Reading(**limits))
    assert isinstance(item, Broken) and (item.reason, item.num_bytes) == (reason, len(data))


def test_whole_files_may_be_compressed(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress("Là où l'été s'achève".encode()))
    source = Source(name="s", paths=("x",), format="text", licence="MIT", language="fr")
    (item,) = read(source, SourceFile(str(path), "x", 1, "0"), Curate())
    assert isinstance(item, Record) and item.text == "Là où l'été s'achève"


@pytest.mark.parametrize("kind", [3, 42])
def test_pdf_text_of_accents_and_ligatures(kind: int) -> None:
    """Written by matplotlib with its own fonts, of both kinds that PDF writers embed."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    text = "Là où l'été s'achève, l'œuvre de « Zoë » vaut 12 € – déjà."
    figure = Figure()
    figure.text(0.05, 0.5, text)
    file = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": kind}):
        FigureCanvasPdf(figure).print_pdf(file, metadata={"Title": "Un titre", "CreationDate": datetime(2024, 3, 1)})
    (item,) = read_pdf(file.getvalue(), Reading())
    assert isinstance(item, Record) and item.text == text
    assert (item.facts.title, item.facts.date) == ("Un titre", "2024-03-01")
