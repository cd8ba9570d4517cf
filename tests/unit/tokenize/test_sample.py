from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.data import documents
from orfevre.tokenize import sample


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 10_000)), st.integers(0, 50_000))
def test_shares_are_even_as_far_as_the_sources_go(available: dict[str, int], total: int) -> None:
    shares = sample.shares(available, total)
    wanted = min(total, sum(available.values()))
    assert list(shares) == list(available)
    assert all(0 <= shares[name] <= available[name] for name in available)
    assert wanted - len(available) < sum(shares.values()) <= wanted or not available
    full = max(shares.values(), default=0)
    assert all(shares[name] == available[name] or shares[name] >= full - 1 for name in available)


def test_what_a_small_source_leaves_goes_to_the_others() -> None:
    assert sample.shares({"large": 1000, "small": 10, "middle": 100}, 310) == {"large": 200, "small": 10, "middle": 100}


def write(curated: Path, name: str, rows: list[tuple[str, str]]) -> None:
    columns: dict = {field.name: pa.nulls(len(rows), field.type) for field in documents.DOCUMENTS}
    columns |= {
        "id": [f"{number:016x}" for number in range(len(rows))],
        "text": [text for text, _ in rows],
        "split": [split for _, split in rows],
        "num_bytes": [len(text.encode()) for text, _ in rows],
    }
    with documents.TableWriter(documents.path_of(curated, name), documents.DOCUMENTS) as writer:
        writer.write(pa.table(columns, schema=documents.DOCUMENTS))


def test_the_sample_holds_the_budget_of_train_text_and_no_other(tmp_path: Path) -> None:
    write(tmp_path, "a", [("aaaa", "train"), ("held", "validation"), ("éééé", "train"), ("last", "train")])
    write(tmp_path, "b", [("bbbb", "train")])
    texts = [text for batch in sample.batches(tmp_path, {"a": 9, "b": 4}) for text in batch]
    assert texts == ["aaaa", "éé", "bbbb"]  # 4 + 5 bytes: the third é would need a sixth
    assert [text for batch in sample.batches(tmp_path, {"a": 0, "b": 100}) for text in batch] == ["bbbb"]


def test_batches_do_not_change_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a", [(f"text {number}", "train") for number in range(50)])
    whole = [text for batch in sample.batches(tmp_path, {"a": 300}) for text in batch]
    monkeypatch.setattr(sample, "BATCH_CHARS", 20)
    batches = list(sample.batches(tmp_path, {"a": 300}))
    assert len(batches) > 5
    assert [text for batch in batches for text in batch] == whole
