"""Part files give back every row, whatever the ranges of ids; steps see what no step before them dropped."""

import hashlib
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orfevre.curate import parts, steps, write
from orfevre.curate.draft import Draft, Drop
from orfevre.data.readers.record import NOTHING_SAID, Facts

ID = st.integers(0, 2**64 - 1)


def row(number: int, text: str | None) -> parts.Row:
    draft = Draft("place#1", text or "", Facts(url="http://x/", title="t"), False, "en", 0.5, "MIT", quality=0.25)
    encoded = None if text is None else text.encode()
    digest = None if encoded is None else hashlib.sha256(encoded).digest()
    return parts.Row(number, draft, encoded, len(encoded or b""), digest, digest, "2026-01-01", '{"email": 1}', False)


@given(st.dictionaries(ID, st.none() | st.text("aé文", max_size=9), min_size=1, max_size=30), st.lists(ID, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_ranges_give_every_row_once(tmp_path: Path, texts: dict[int, str | None], cuts: list[int]) -> None:
    path = tmp_path / "part.arrow"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "BATCH_BYTES", 16)  # many record batches
        parts.write(path, [row(number, texts[number]) for number in sorted(texts)])
    bounds = [0, *sorted(cuts), 2**64]
    batches = [batch for low, high in pairwise(bounds) for batch in parts.read(path, low, high)]
    found = pa.Table.from_batches(batches, parts.ROWS)
    assert found.column("id").to_pylist() == sorted(texts)
    assert found.column("text").to_pylist() == [texts[number] for number in sorted(texts)]
    assert set(found.column("url").to_pylist()) == {"http://x/"}


@given(st.lists(ID, max_size=20), st.lists(st.none() | st.binary(min_size=32, max_size=32), max_size=20))
def test_hexadecimal_digits_are_pythons(numbers: list[int], digests: list[bytes | None]) -> None:
    written = write._hexadecimal(np.array(numbers, np.uint64)).to_pylist()
    assert written == [f"{number:016x}" for number in numbers]
    column = pa.chunked_array([pa.array(digests, pa.binary(32))])
    assert write._digests(column).to_pylist() == [digest and digest.hex() for digest in digests]


def test_a_step_sees_what_no_step_before_it_dropped() -> None:
    drafts = [Draft(str(number), "text", NOTHING_SAID, False, "en") for number in range(6)]
    seen: list[list[str]] = []

    def drop_even(batch: list[Draft]) -> None:
        seen.append([draft.location for draft in batch])
        for draft in batch[::2]:
            draft.drop = Drop("even", "")

    steps.apply([drop_even, drop_even, drop_even, drop_even], drafts)  # type: ignore[list-item]
    assert seen == [["0", "1", "2", "3", "4", "5"], ["1", "3", "5"], ["3"]]


def test_what_prepares_is_prepared() -> None:
    """No step whose module has a `prepare` is left out of the list of those that are called."""
    modules = [sys.modules[make.__module__] for make in steps.ORDER.values()]
    ready = [module.prepare for module in modules if hasattr(module, "prepare")]
    assert tuple(ready) == steps.PREPARED_BY
