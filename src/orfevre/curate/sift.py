"""One unit of work: read, normalise, judge, sign. A pure function from source files to a unit's folder."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orfevre.curate import language, quality
from orfevre.curate.draft import Drop
from orfevre.curate.normalise import normalise
from orfevre.curate.units import INDEX, ROWS, Unit
from orfevre.data.readers.reader import read
from orfevre.data.readers.record import Broken, Item
from orfevre.data.sources import SourceFile
from orfevre.kernels import minhash
from orfevre.recipe import Dedup

Row = dict[str, Any]

ROW_GROUP = 256
"""Rows in a row group of scratch files: small, since the last step picks ranges of ids out of them."""

OVERHEAD_BYTES = 512
"""What a row costs in memory beside its text; so that millions of empty records fill a part too."""


def sift(unit: Unit) -> None:
    """Read a unit's files and leave its folder complete, in parts of about shard_bytes of text."""
    aside = unit.folder.with_name(unit.folder.name + ".aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    rows: list[Row] = []
    held = num_parts = 0
    for row in _rows(unit):
        rows.append(row)
        held += len(row["text"] or "") + OVERHEAD_BYTES
        if held >= unit.curate.shard_bytes:
            _write_part(aside / f"part-{num_parts:06d}", rows, unit.curate.dedup)
            rows, held, num_parts = [], 0, num_parts + 1
    if rows:
        _write_part(aside / f"part-{num_parts:06d}", rows, unit.curate.dedup)
    counts = {"source": unit.source.name, "files": len(unit.files), "raw_bytes": unit.num_bytes}
    (aside / "counts.json").write_text(json.dumps(counts), encoding="utf-8")
    aside.rename(unit.folder)


def _rows(unit: Unit) -> Iterator[Row]:
    is_code = unit.source.format == "code" or not language.is_prose_language(unit.source.language)
    for file in unit.files:
        for count, item in enumerate(read(unit.source, file, unit.curate), start=1):
            yield _row(unit, _location(file, item, count), item, is_code)


def _location(file: SourceFile, item: Item, count: int) -> str:
    """Unique in its source: a trouble of the file as a whole that follows good records gets a mark of its own."""
    name = file.location.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if item.number:
        return f"{name}#{item.number}"
    return name if count == 1 else f"{name}#end"


def _row(unit: Unit, location: str, item: Item, is_code: bool) -> Row:
    identity = hashlib.sha256(f"{unit.source.name}\0{location}".encode()).hexdigest()[:16]
    row: Row = dict.fromkeys(ROWS.names)
    row |= {"id": identity, "location": location, "language": unit.source.language}
    if isinstance(item, Broken):
        return row | {
            "reason": item.reason, "detail": item.detail, "num_bytes": item.num_bytes, "text": item.text
        }  # fmt: skip
    text = normalise(item.text)
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        where = f"line {item.number}: " if item.number else ""
        cause = f"{where}lone surrogate at character {error.start + 1}"
        return row | {"reason": "broken_record", "detail": cause, "num_bytes": len(text)}
    row |= {"text": text, "num_bytes": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}
    drop = quality.judge(text, unit.curate.quality, is_code)
    if drop is None and not is_code:
        row["language"], drop = _identify(text, unit)
    return row if drop is None else row | {"reason": drop.reason, "detail": drop.detail}


def _identify(text: str, unit: Unit) -> tuple[str, Drop | None]:
    """The language to record, and the drop when it is reliably another than the source's."""
    declared = unit.source.language
    found = language.detect(text)
    if not found.confidence:
        return declared, None
    sure = found.confidence >= unit.curate.language.min_confidence
    if sure and declared != language.UNDETERMINED and not language.same(found.code, declared):
        return found.code, Drop("language", f"{found.code} {found.confidence:.2f}")
    return (found.code if sure else declared), None


def _write_part(stem: Path, rows: list[Row], dedup: Dedup) -> None:
    rows.sort(key=lambda row: row["id"])
    pq.write_table(
        pa.Table.from_pylist(rows, ROWS), stem.with_suffix(".parquet"), row_group_size=ROW_GROUP, compression="lz4"
    )
    passed = [row for row in rows if row["reason"] is None]
    index = np.zeros(len(passed), INDEX)
    for place, row in enumerate(passed):
        sha = row["sha256"]
        index[place] = (int(row["id"], 16), int(sha[:16], 16), int(sha[16:32], 16), row["num_bytes"])
    width = dedup.num_bands * dedup.rows_per_band
    signatures, num_shingles = minhash.signatures([row["text"].encode() for row in passed], width)
    keys = minhash.band_keys(signatures, dedup.num_bands)
    for name, array in (("index", index), ("signatures", signatures), ("keys", keys), ("shingles", num_shingles)):
        np.save(stem.with_suffix(f".{name}.npy"), array, allow_pickle=False)
