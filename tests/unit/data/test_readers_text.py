"""Files that are one document, and docstrings: encodings, headers, and nothing executed."""

import codecs
from pathlib import Path

import pytest

from orfevre.data.readers.docstrings import read_docstrings
from orfevre.data.readers.reader import read
from orfevre.data.readers.record import Broken, Record
from orfevre.data.readers.whole import read_code, read_markdown, read_text
from orfevre.data.sources import SourceFile
from orfevre.recipe import Curate, Reading, Source

FRENCH = "l'été où naît l'œuvre"


@pytest.mark.parametrize(
    "data",
    [
        FRENCH.encode(),
        codecs.BOM_UTF8 + FRENCH.encode(),
        codecs.BOM_UTF16_LE + FRENCH.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + FRENCH.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + FRENCH.encode("utf-32-le"),
    ],
)
def test_marked_encodings_are_read(data: bytes) -> None:
    assert list(read_text(data)) == [Record(0, FRENCH)]


def test_other_bytes_are_undecodable() -> None:
    (item,) = read_text("été".encode("latin-1"))
    assert isinstance(item, Broken) and item.reason == "undecodable"


def test_python_may_name_its_encoding() -> None:
    source = "# -*- coding: latin-1 -*-\nname = 'été'\n"
    assert list(read_code(source.encode("latin-1"), "python")) == [Record(0, source)]
    (item,) = read_code(source.encode("latin-1"), "c")
    assert isinstance(item, Broken)
    (item,) = read_code(b"# coding: klingon\n", "python")
    assert isinstance(item, Broken) and "klingon" in item.detail


def test_package_metadata_keeps_its_description_only() -> None:
    text = "Metadata-Version: 2.1\nName: x\n\n# Title\n\nBody\n"
    assert list(read_markdown(text.encode(), "METADATA")) == [Record(0, "# Title\n\nBody\n")]
    assert list(read_markdown(text.encode(), "README.md")) == [Record(0, text)]
    assert list(read_markdown(b"Name: x\n", "METADATA")) == [Record(0, "")]
    old = b"Name: x\nDescription: First\n        |second\n        |third\n"
    assert list(read_markdown(old, "METADATA")) == [Record(0, "First\nsecond\nthird")]


MODULE = '''"""Module."""
raise SystemExit("executed!")
TOPICS = {"a": "one\\ntwo", "b": "short", "c": 3, "d": "  three\\n  four"}
class Thing:
    """Class.

        Indented more.
    """
    def method(self):
        """Method."""
        def inner(): "Inner."
try:
    pass
except ValueError:
    async def late(): "Late."
def bare(): return lambda: {"x": "not\\ndocumentation"}
'''


def test_docstrings_in_source_order_and_tables_after() -> None:
    texts = ["Module.", "Class.\n\nIndented more.", "Method.", "Inner.", "Late.", "one\ntwo", "three\nfour"]
    assert list(read_docstrings(MODULE.encode())) == [Record(place, text) for place, text in enumerate(texts, 1)]


@pytest.mark.parametrize("data", [b"def (", b"x = '\xe9'", b"a\0b", b"(" * 5000])
def test_what_is_no_python_is_one_broken_record(data: bytes) -> None:
    (item,) = read_docstrings(data)
    assert isinstance(item, Broken) and item.reason == "broken_record"


def source_of(kind: str) -> Source:
    return Source.model_validate(
        {"name": "s", "paths": ["x"], "format": kind, "licence": "MIT", "language": "en", "text_field": "text"}
    )


@pytest.mark.parametrize("kind", ["text", "markdown", "code", "docstrings", "jsonl", "parquet", "html", "warc"])
def test_a_file_that_vanished_is_unreadable(kind: str, tmp_path: Path) -> None:
    gone = SourceFile(str(tmp_path / "gone"), "{data}/gone", 12, "0")
    (item,) = read(source_of(kind), gone, Curate())
    assert isinstance(item, Broken) and (item.reason, item.num_bytes) == ("unreadable", 12)


def test_a_file_too_long_to_be_a_document_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_bytes(b"x" * 1001)
    (item,) = read(
        source_of("text"),
        SourceFile(str(path), "big", path.stat().st_size, "0"),
        Curate(reading=Reading(max_record_bytes=1000)),
    )
    assert isinstance(item, Broken) and item.reason == "too_long" and item.text is None
