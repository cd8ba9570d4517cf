"""JSON lines, plain or compressed: one record a line, and every broken line accounted for."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from orfevre.data.readers import compressed
from orfevre.data.readers.record import Broken, Item, Record

MAX_LINE_BYTES = 256 * 2**20
"""A longer line is counted as broken and not kept in memory."""


def read_jsonl(file: BinaryIO, path: str, field: str) -> Iterator[Item]:
    """Records with the line number; a line that is blank, not JSON, or lacks the text is a `broken_record`."""
    number = 0
    try:
        for number, line in enumerate(compressed.lines(file, path, MAX_LINE_BYTES), start=1):
            if isinstance(line, int):
                yield _broken(number, f"{line} bytes in one line, more than {MAX_LINE_BYTES}", line)
            else:
                yield _record(number, line, field)
    except compressed.DamagedStreamError as error:
        yield Broken(0, "unreadable", f"after line {number}: {error}")


def _record(number: int, line: bytes, field: str) -> Item:
    try:
        return Record(number, _text(line, field))
    except UnicodeDecodeError as error:
        return _broken(number, f"not UTF-8: {error.reason} at byte {error.start}", len(line))
    except json.JSONDecodeError as error:
        return _broken(number, f"not JSON: {error.msg} at character {error.pos + 1}", len(line))
    except (ValueError, RecursionError) as error:  # NaN, a number of too many digits, nesting too deep, no text
        return _broken(number, str(error), len(line))


def _text(line: bytes, field: str) -> str:
    """The text of one line. Raises ValueError with the cause."""
    if not line.strip():
        raise ValueError("blank line")
    table = json.loads(line.decode("utf-8-sig"), strict=False, parse_constant=_refuse)
    if not isinstance(table, dict):
        raise ValueError(f"not an object but {_kind(table)}")
    if field not in table:
        raise ValueError(f"no field {field!r}")
    text = table[field]
    if not isinstance(text, str):
        raise ValueError(f"field {field!r} is {_kind(text)}, not a string")
    return text


def _broken(number: int, cause: str, num_bytes: int) -> Broken:
    return Broken(number, "broken_record", f"line {number}: {cause}", num_bytes)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant} is no JSON number")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
