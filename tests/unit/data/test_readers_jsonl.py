"""JSON lines and compressed streams: every line is a record or is counted as broken, whatever the bytes."""

import gzip
import io
import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from orfevre.data.readers import compressed
from orfevre.data.readers.jsonl import read_jsonl
from orfevre.data.readers.record import Broken, Item, Record
from orfevre.recipe import Reading, Source

SOURCE = Source(name="s", paths=("x",), format="jsonl", licence="MIT", language="en")

GOOD = [json.dumps({"text": f"texte numéro {number} " * 20}).encode() for number in range(200)]
BODY = b"\n".join(GOOD) + b"\n"


def read(data: bytes, name: str = "x.jsonl") -> list[Item]:
    return list(read_jsonl(io.BytesIO(data), name, SOURCE, Reading()))


def texts(items: list[Item]) -> list[tuple[int, str]]:
    assert all(isinstance(item, Record) for item in items)
    return [(item.number, item.text or "") for item in items]


def pack(data: bytes, name: str) -> bytes:
    return gzip.compress(data) if name.endswith(".gz") else zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"", "blank"),
        (b'{"text": "cut', "not JSON"),
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'{"text": NaN}', "NaN"),
        (b'{"text": "a", "n": Infinity}', "Infinity"),
        (b'{"text": "a"} {"text": "b"}', "Extra data"),
        (b"[1]", "an array"),
        (b'{"other": "a"}', "no field 'text'"),
        (b'{"text": null}', "null"),
        (b'{"text": 3}', "a number"),
        (b'{"text": true}', "a boolean"),
        (b"[" * 100_000, "recursion"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "4300"),
    ],
)
def test_broken_lines_are_counted_with_line_and_cause(line: bytes, cause: str) -> None:
    first, broken, last = read(GOOD[0] + b"\n" + line + b"\n" + GOOD[1])
    assert isinstance(first, Record) and isinstance(last, Record) and (first.number, last.number) == (1, 3)
    assert isinstance(broken, Broken) and broken.reason == "broken_record"
    assert broken.detail.startswith("line 2: ") and cause in broken.detail
    assert broken.detail.endswith(f"begins at byte {len(GOOD[0]) + 1}")


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "a", "n": ' + b"9" * 300 + b"}",
        b'{"text": "a", "n": ' + b"9" * 400 + b"}",
        b'{"text": "a", "n": 1e999}',
        b'{"text": "b", "text": "a"}',
        b'{"text": "a", "x": "\\ud800"}',
        b'{"text": "a", "x": "\x00\x01"}',
        b'\t{"text": "a"} \r',
        b'{"text": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
def test_what_json_reads_is_read(line: bytes) -> None:
    """orjson refuses some of these, and reads none that json would not."""
    assert json.loads(line, strict=False)["text"] == "a"
    assert texts(read(line)) == [(1, "a")]


def test_a_line_beyond_the_limit_is_told_and_not_held() -> None:
    data = GOOD[0] + b"\n" + b'{"text": "' + b"x" * 9000 + b'"}\n' + GOOD[1]
    first, broken, last = read_jsonl(io.BytesIO(data), "x.jsonl", SOURCE, Reading(max_record_bytes=8000))
    assert isinstance(first, Record) and isinstance(last, Record) and last.number == 3
    assert isinstance(broken, Broken) and (broken.reason, broken.num_bytes) == ("too_long", 9012)


def test_offsets_lead_to_the_line() -> None:
    items = read(BODY)
    for item, line in zip(items, GOOD, strict=True):
        assert isinstance(item, Record)
        assert BODY[item.facts.offset :].startswith(line) and item.facts.raw_sha256 == sha256(line).hexdigest()


def test_marks_line_ends_and_raw_control_characters_are_no_fault() -> None:
    lines = [b'\xef\xbb\xbf{"text": "a"}', b'{"text": "b"}\r', b'{"text": "c\x01\td"}']
    assert [item.text for item in read(b"\n".join(lines))] == ["a", "b", "c\x01\td"]


@given(st.binary(max_size=300))
def test_any_bytes_give_one_item_a_line(data: bytes) -> None:
    lines = data.split(b"\n")
    assert len(read(data)) == len(lines) - (lines[-1] == b"")


@pytest.mark.parametrize("name", ["x.gz", "x.zst"])
def test_members_and_frames_follow_one_another(name: str) -> None:
    half = BODY.index(b"\n", len(BODY) // 2) - 7  # inside a line
    assert texts(read(pack(BODY[:half], name) + pack(BODY[half:], name), name)) == texts(read(BODY))


@pytest.mark.parametrize("name", ["x.gz", "x.zst"])
def test_a_truncated_stream_keeps_what_was_read_and_counts_once(name: str) -> None:
    whole = pack(BODY, name) + pack(BODY, name)
    for end in range(len(whole) - 1, len(pack(BODY, name)) + 1, -97):
        *records, last = read(whole[:end], name)
        assert isinstance(last, Broken) and last.reason == "unreadable"
        assert len(records) >= 200 and all(isinstance(item, Record) for item in records)


@pytest.mark.parametrize("name", ["x.gz", "x.zst"])
def test_bytes_that_are_not_compressed_are_unreadable(name: str) -> None:
    (item,) = read(b"plain text, whatever the name says\n", name)
    assert isinstance(item, Broken) and item.reason == "unreadable"


@given(data=st.binary(max_size=200), limit=st.integers(1, 20), size=st.integers(1, 7))
def test_lines_in_pieces(data: bytes, limit: int, size: int) -> None:
    class Dripping(io.BytesIO):
        def read(self, count: int | None = -1) -> bytes:
            return super().read(size)

    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    found = list(compressed.lines(Dripping(data), "x", limit))
    assert found == [line if len(line) <= limit else len(line) for line in expected]


def test_the_broken_lines_of_the_development_data(data: Path) -> None:
    path = data / "messy/broken_lines.jsonl.gz"
    with (data / "messy/broken_lines.truth.jsonl").open(encoding="utf-8") as file:
        truth = {row["line"]: row["kind"] for row in map(json.loads, file)}
    with path.open("rb") as file:
        items = list(read_jsonl(file, str(path), SOURCE, Reading()))
    broken = Counter(truth[item.number] for item in items if isinstance(item, Broken))
    assert [item.number for item in items] == list(range(1, 1201))
    unreadable = {
        "blank_line", "invalid_utf8", "missing_text", "nan_value", "non_string_text", "not_an_object", "null_text",
        "truncated_json", "two_objects_one_line",
    }  # fmt: skip
    assert broken == {kind: count for kind, count in Counter(truth.values()).items() if kind in unreadable}
