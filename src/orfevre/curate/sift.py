"""One unit of work: read, take through the steps, sign. A pure function from source files to a unit's folder."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import numpy as np

from orfevre.curate import language, parts, signs, steps
from orfevre.curate.draft import Draft, Drop
from orfevre.curate.parts import Row
from orfevre.curate.units import Unit
from orfevre.data.documents import identity
from orfevre.data.readers.reader import read
from orfevre.data.readers.record import NOTHING_SAID, Broken, Item
from orfevre.data.sources import SourceFile
from orfevre.recipe import Dedup

BATCH_CHARS = 4 * 2**20
BATCH_DRAFTS = 256
"""What a step gets at once: enough for a kernel to be worth its call, little enough to stay in memory."""

OVERHEAD_BYTES = 512
"""What a row costs in memory beside its text; so that millions of empty records fill a part too."""

NO_RECORD = "broken_record"
"""The reason of a step that finds a record to be none: it counts as broken, not as dropped."""

Read = tuple[Draft, Item]


def sift(unit: Unit) -> None:
    """Read a unit's files and leave its folder complete, in parts of about shard_bytes of text."""
    aside = unit.folder.with_name(f"{unit.folder.name}.{os.getpid()}.aside")  # a cluster may try a task twice at once
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    rows: list[Row] = []
    held = num_parts = text_bytes = 0
    skipped: Counter[str] = Counter()
    for batch in _sifted(unit, skipped):
        size = sum(len(row.encoded or b"") for row in batch)
        rows += batch
        text_bytes += size
        held += size + OVERHEAD_BYTES * len(batch)
        if held >= unit.curate.shard_bytes:
            _write_part(aside / f"part-{num_parts:06d}", rows, unit.curate.dedup)
            rows, held, num_parts = [], 0, num_parts + 1
    if rows:
        _write_part(aside / f"part-{num_parts:06d}", rows, unit.curate.dedup)
    (aside / "counts.json").write_text(json.dumps({"text_bytes": text_bytes, "skipped": skipped}), encoding="utf-8")
    _put_in_place(aside, unit.folder)


def _put_in_place(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(aside)  # the other try was first, with the same bytes


def _sifted(unit: Unit, skipped: Counter[str]) -> Iterator[list[Row]]:
    """Batches of rows in the order of reading."""
    through = steps.steps_of(unit)
    for acquired, batch in _batches(unit, skipped):
        steps.apply(through, [draft for draft, _ in batch])
        yield [_row(unit.source.name, draft, item, acquired) for draft, item in batch]


def _batches(unit: Unit, skipped: Counter[str]) -> Iterator[tuple[str, list[Read]]]:
    """Batches of one file each, with the time the file was last changed."""
    is_code = unit.source.format == "code" or not language.is_prose_language(unit.source.language)
    limit = min(BATCH_CHARS, unit.curate.shard_bytes)
    for file in unit.files:
        acquired, name = _changed(file), _name(file)
        batch: list[Read] = []
        held = 0
        for count, item in enumerate(read(unit.source, file, unit.curate, skipped), start=1):
            draft = _draft(unit, _location(name, item, count), item, is_code)
            batch.append((draft, item))
            held += len(draft.text)
            if held >= limit or len(batch) == BATCH_DRAFTS:
                yield acquired, batch
                batch, held = [], 0
        if batch:
            yield acquired, batch


def _draft(unit: Unit, location: str, item: Item, is_code: bool) -> Draft:
    source = unit.source
    if isinstance(item, Broken):
        drop = Drop(item.reason, item.detail)
        return Draft(location, item.text or "", NOTHING_SAID, is_code, source.language, 0.0, source.licence, drop=drop)
    licence = item.facts.licence or source.licence
    return Draft(location, item.text, item.facts, is_code, source.language, 0.0, licence)


def _name(file: SourceFile) -> str:
    return file.location.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _location(name: str, item: Item, count: int) -> str:
    """Unique in its source: a trouble of the file as a whole that follows good records gets a mark of its own."""
    if item.number:
        return f"{name}#{item.number}"
    return name if count == 1 else f"{name}#end"


def _changed(file: SourceFile) -> str:
    """When a local file was last changed, ISO 8601; empty where only an etag is known."""
    if not file.stamp.isdigit():
        return ""
    return datetime.fromtimestamp(int(file.stamp) // 10**9, UTC).isoformat().replace("+00:00", "Z")


def _row(source: str, draft: Draft, item: Item, acquired: str) -> Row:
    number = int(identity(source, draft.location), 16)
    edits = json.dumps(draft.edits, sort_keys=True) if draft.edits else ""
    acquired = draft.facts.acquired or acquired
    if isinstance(item, Broken):
        encoded = None if item.text is None else _utf8(draft.text)
        return Row(number, draft, encoded, item.num_bytes, None, None, acquired, edits, True)
    broken = draft.drop is not None and draft.drop.reason == NO_RECORD
    encoded = None if broken else _utf8(draft.text) if draft.drop else draft.encoded
    sha256 = None if encoded is None else hashlib.sha256(encoded).digest()
    num_bytes = len(draft.text) if encoded is None else len(encoded)
    return Row(number, draft, encoded, num_bytes, sha256, _raw(draft, item, sha256), acquired, edits, broken)


def _raw(draft: Draft, item: Item, clean: bytes | None) -> bytes | None:
    """SHA-256 of the record as it stood: what the reader took, or else of its text before any step."""
    assert not isinstance(item, Broken)
    if draft.facts.raw_sha256:
        return bytes.fromhex(draft.facts.raw_sha256)
    if clean is not None and (draft.text is item.text or draft.text == item.text):
        return clean
    return hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).digest()


def _utf8(text: str) -> bytes:
    """Of a text that was dropped before it was found to have no UTF-8, too."""
    return text.encode("utf-8", "replace")


def _write_part(stem: Path, rows: list[Row], dedup: Dedup) -> None:
    rows.sort(key=attrgetter("id"))
    parts.write(stem.with_suffix(".arrow"), rows)
    passed = [row for row in rows if row.draft.drop is None]
    index = np.zeros(len(passed), signs.INDEX)
    for place, row in enumerate(passed):
        assert row.sha256 is not None
        index[place] = signs.entry(row.id, row.sha256, row.num_bytes, row.draft.quality)
    signs.write(stem, index, [row.encoded or b"" for row in passed], dedup)
