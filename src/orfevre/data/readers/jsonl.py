"""JSON lines, plain or compressed: one record a line, and every broken line accounted for."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from hashlib import sha256
from typing import Any, BinaryIO, NoReturn, TypeAlias

from orfevre.data.readers import compressed
from orfevre.data.readers.record import Broken, Facts, Item, Record
from orfevre.recipe import Reading, Source


def read_jsonl(file: BinaryIO, path: str, source: Source, reading: Reading) -> Iterator[Item]:
    """Records with the line number; a line that is blank, not JSON, or lacks the text is a `broken_record`."""
    import orjson

    number = offset = 0
    fields = told_by(source)
    is_packed = path.endswith((".gz", ".zst"))  # then the place of a line in the file as stored means nothing
    try:
        found = compressed.lines(file, path, reading.max_record_bytes, reading.max_ratio)
        for number, line in enumerate(found, start=1):
            if isinstance(line, int):
                item: Item = Broken(number, "too_long", f"{line} bytes, more than {reading.max_record_bytes}", line)
                size = line
            else:
                item = _record(number, line, (orjson.loads, source.text_field, fields), -1 if is_packed else offset)
                size = len(line)
            if isinstance(item, Broken):
                item = replace(item, detail=f"line {number}: {item.detail}; {_where(offset, is_packed)}")
            yield item
            offset += size + 1
    except compressed.DamagedStreamError as error:
        yield Broken(0, "unreadable", f"after line {number}: {error}; {_where(offset, is_packed)}")


def _where(offset: int, is_packed: bool) -> str:
    return f"it begins at byte {offset}{' of what was unpacked' if is_packed else ''}"


def told_by(source: Source) -> dict[str, str]:
    """The facts that fields or columns of this source tell, and which."""
    return {fact: name for fact, name in source.fields if name}


_Names: TypeAlias = tuple[Callable[[bytes], Any], str, Mapping[str, str]]
"""The parser, the field of the text, and those that tell facts."""


def _record(number: int, line: bytes, names: _Names, offset: int) -> Item:
    loads, text_field, fields = names
    try:
        table = _table(line, loads)
        text = _text(table, text_field)
    except UnicodeDecodeError as error:
        return _broken(number, f"not UTF-8: {error.reason} at byte {error.start}", len(line))
    except json.JSONDecodeError as error:
        return _broken(number, f"not JSON: {error.msg} at character {error.pos + 1}", len(line))
    except (ValueError, RecursionError) as error:  # NaN, a number of too many digits, nesting too deep, no text
        return _broken(number, str(error), len(line))
    told = facts_of(table, fields) if fields else {}
    return Record(number, text, Facts(raw_sha256=sha256(line).hexdigest(), offset=offset, **told))


def facts_of(table: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """What the fields that the recipe names say; numbers and times are written out, lists and objects say nothing."""
    told = {}
    for fact, name in fields.items():
        value = table.get(name)
        if isinstance(value, str):
            told[fact] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            told[fact] = str(value)
        elif isinstance(value, date):  # of a Parquet column
            told[fact] = value.isoformat()
    return told


def _table(line: bytes, loads: Callable[[bytes], Any]) -> Mapping[str, Any]:
    """The object of one line. Raises ValueError with the cause."""
    try:
        table = loads(line)
    except ValueError:  # orjson is stricter than json is told to be here, and knows less of the cause
        if not line.strip():
            raise ValueError("blank line") from None
        table = json.loads(line.decode("utf-8-sig"), strict=False, parse_constant=_refuse)
    if not isinstance(table, dict):
        raise ValueError(f"not an object but {_kind(table)}")
    return table


def _text(table: Mapping[str, Any], field: str) -> str:
    text = table.get(field)
    if not isinstance(text, str):
        if field not in table:
            raise ValueError(f"no field {field!r}")
        raise ValueError(f"field {field!r} is {_kind(text)}, not a string")
    return text


def _broken(number: int, cause: str, num_bytes: int) -> Broken:
    return Broken(number, "broken_record", cause, num_bytes)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant} is no JSON number")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
