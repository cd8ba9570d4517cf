"""Lines survive a kill; a torn one is dropped and does not spoil the next."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre import metrics

rows = st.lists(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text()), max_size=5)


@given(rows, st.data())
def test_every_cut_leaves_the_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.jsonl"
    for row in rows:
        metrics.append(path, row)
    assert metrics.read(path) == rows
    if not rows:
        return
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = metrics.read(path)
    assert kept == rows[: len(kept)]
    metrics.append(path, {"next": 1})
    assert metrics.read(path) == [*kept, {"next": 1}]


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        metrics.append(tmp_path / "m.jsonl", {"loss": float("nan")})


def test_absent_file_is_empty(tmp_path: Path) -> None:
    assert metrics.read(tmp_path / "none.jsonl") == []
