"""Files that are one document, and docstrings: encodings, headers, and nothing executed."""

import codecs
from collections.abc import Iterable
from pathlib import Path

import pytest

from orfevre.data.readers.docstrings import read_docstrings
from orfevre.data.readers.reader import read
from orfevre.data.readers.record import Broken, Item, Record
from orfevre.data.readers.whole import read_code, read_markdown, read_text
from orfevre.data.sources import SourceFile
from orfevre.recipe import Curate, Reading, Source

FRENCH = "l'été où naît l'œuvre"


def text_of(items: Iterable[Item]) -> str:
    (item,) = items
    assert isinstance(item, Record)
    return item.text


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
    assert text_of(read_text(data)) == FRENCH


@pytest.mark.parametrize(
    ("text", "charset", "told"),
    [
        (f"« {FRENCH} » – l’époque", "cp1252", "windows-1252"),
        ("là où l'été, déjà, s'achève\n" * 3, "latin-1", "windows-1252"),
        ("un cœur d'or, une sœur, là où naît l'œuvre", "iso8859-15", "iso8859-15"),
        (FRENCH * 3, "utf-16-le", "utf-16-le"),
        (FRENCH * 3, "utf-16-be", "utf-16-be"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю", "koi8-r", "koi8-r"),
        ("Pchnąć w tę łódź jeża lub ośm skrzyń fig, zażółć gęślą jaźń", "cp1250", "windows-1250"),
    ],
)
def test_unmarked_encodings_are_detected_and_told(text: str, charset: str, told: str) -> None:
    (item,) = read_text(text.encode(charset))
    assert isinstance(item, Record) and item.text == text
    assert item.facts.media_type == f"text/plain; charset={told}"


@pytest.mark.parametrize(
    "data",
    [
        "là où l'été, déjà, s'achève, père, mère et frère".encode("mac-roman"),
        "là où l'été, déjà, s'achève, père, mère et frère".encode("cp850"),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\x7fELF\x02\x01\x01\0\xff",
        bytes(range(256)),
        FRENCH.encode() + b"\xff",
        b"\xff\xfe\x00\xd8",
    ],
)
def test_what_is_plainly_no_encoding_is_undecodable(data: bytes) -> None:
    (item,) = read_text(data)
    assert isinstance(item, Broken) and item.reason == "undecodable" and item.num_bytes == len(data)


def test_python_may_name_its_encoding() -> None:
    source = "# -*- coding: latin-1 -*-\nname = 'été'\n"
    assert text_of(read_code(source.encode("latin-1"), "python")) == source
    (item,) = read_code(b"name = '\xe9t\xe9'\n", "python")  # Python itself would not run it
    assert isinstance(item, Broken)
    (item,) = read_code(b"# coding: klingon\n", "python")
    assert isinstance(item, Broken) and "klingon" in item.detail


def test_package_metadata_keeps_its_description_only() -> None:
    text = "Metadata-Version: 2.1\nName: x\n\n# Title\n\nBody\n"
    assert text_of(read_markdown(text.encode(), "METADATA")) == "# Title\n\nBody\n"
    assert text_of(read_markdown(text.encode(), "README.md")) == text
    assert text_of(read_markdown(b"Name: x\n", "METADATA")) == ""
    old = b"Name: x\nDescription: First\n        |second\n        |third\n"
    assert text_of(read_markdown(old, "METADATA")) == "First\nsecond\nthird"


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
