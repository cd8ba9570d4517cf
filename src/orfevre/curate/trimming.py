"""Rewriting a unit's parts with pieces of their texts taken out: what boilerplate.py and spans.py share."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from orfevre.curate import signs
from orfevre.curate.units import Unit


@dataclass(frozen=True, slots=True)
class Cut:
    rest: str | None
    """What is left of the text; None when nothing was taken out."""

    pieces: int


Cutter: TypeAlias = Callable[[Sequence[int], Sequence[bytes]], Sequence[Cut]]
"""From ids and texts of some documents, ids ascending, to what is left of each."""


def rewrite(unit: Unit, out: Path, cut: Cutter, reason: str) -> None:
    """Leave in `out` the unit's folder, whole, of the same rows. A document shorter than quality.min_chars without its
    pieces is dropped for `reason`, with its whole text; of others `edits` counts the pieces by that name."""
    aside = out.with_name(f"{out.name}.{os.getpid()}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for part in unit.parts():
        _rewrite_part(unit, part, aside / part.name, cut, reason)
    shutil.copyfile(unit.folder / "counts.json", aside / "counts.json")
    aside.rename(out)


def passed(batch: Any) -> tuple[list[int], list[bytes]]:
    """Rows that no step has dropped, and their texts."""
    import pyarrow as pa

    rows = np.flatnonzero(np.asarray(batch.column("reason").is_null()))
    return rows.tolist(), batch.column("text").cast(pa.binary()).take(pa.array(rows)).to_pylist()


def batches(part: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.OSFile(str(part)) as file, pa.ipc.open_file(file) as opened:
        for number in range(opened.num_record_batches):
            yield opened.get_batch(number)


def _rewrite_part(unit: Unit, part: Path, out: Path, cut: Cutter, reason: str) -> None:
    import pyarrow as pa

    index: list[Any] = []
    texts: list[bytes] = []
    with pa.OSFile(str(out), "wb") as file, pa.ipc.new_file(file, _schema(part)) as writer:
        for batch in batches(part):
            rewritten, standing = _rewrite_batch(batch, cut, unit.curate.quality.min_chars, reason)
            writer.write_batch(rewritten)
            for row in standing:
                digest, size = rewritten["sha256"][row].as_py(), rewritten["num_bytes"][row].as_py()
                index.append(signs.entry(rewritten["id"][row].as_py(), digest, size, rewritten["quality"][row].as_py()))
                texts.append(rewritten["text"][row].as_buffer().to_pybytes())
    shutil.copyfile(part.with_suffix(".firsts.npy"), out.with_suffix(".firsts.npy"))
    signs.write(out, np.array(index, signs.INDEX), texts, unit.curate.dedup)


def _rewrite_batch(batch: Any, cut: Cutter, min_chars: int, reason: str) -> tuple[Any, list[int]]:
    """The batch with its documents trimmed, and the rows that still stand."""
    import pyarrow as pa

    rows, texts = passed(batch)
    names = ("text", "num_bytes", "sha256", "edits", "reason", "detail")
    columns = {name: batch.column(name).to_pylist() for name in names}
    standing = []
    ids = batch.column("id").to_numpy()[rows].tolist()
    for row, done in zip(rows, cut(ids, texts), strict=True):
        if done.rest is not None and len(done.rest) < min_chars:
            columns["reason"][row] = reason
            columns["detail"][row] = f"{len(done.rest)} characters left without {done.pieces} that others hold too"
            continue
        standing.append(row)
        if done.rest is None:
            continue
        encoded = done.rest.encode()
        edits = json.loads(columns["edits"][row] or "{}") | {reason: done.pieces}
        columns["text"][row], columns["num_bytes"][row] = done.rest, len(encoded)
        columns["sha256"][row] = hashlib.sha256(encoded).digest()
        columns["edits"][row] = json.dumps(edits, sort_keys=True)
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else batch.column(field.name)
        for field in batch.schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema), standing


def _schema(part: Path) -> Any:
    import pyarrow as pa

    with pa.OSFile(str(part)) as file, pa.ipc.open_file(file) as opened:
        return opened.schema
