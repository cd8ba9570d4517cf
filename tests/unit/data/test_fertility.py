import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.data import fertility
from orfevre.data.fertility import Amount, Measured
from orfevre.errors import InputError

ROWS = st.lists(
    st.tuples(st.sampled_from(["en", "fr", "", None]), *[st.integers(0, 1000)] * 4), max_size=30
)  # language, bytes, characters, words, tokens


@given(ROWS)
def test_every_document_is_counted_once_under_its_language(rows: list[tuple]) -> None:
    columns = [np.array([row[place] for row in rows], np.int64) for place in range(1, 5)]
    made = fertility.by_language(pa.array([row[0] for row in rows], pa.string()), Measured(*columns))
    for name in ("en", "fr", "und"):
        own = [row for row in rows if (row[0] or "und") == name]
        assert made.get(name, Amount()) == Amount(
            documents=len(own),
            **{key: sum(row[place] for row in own) for place, key in enumerate(Measured._fields, start=1)},
        )


def test_totals_add_and_are_in_order() -> None:
    one, two = Amount(documents=1, tokens=2), Amount(documents=3, bytes=4)
    made = fertility.total([{"fr": one}, {"en": two, "fr": two}])
    assert list(made) == ["en", "fr"] and made["fr"] == Amount(documents=4, bytes=4, tokens=2)


def test_rates_of_nothing_are_none() -> None:
    amount = Amount(documents=1, bytes=12, characters=10, words=4, tokens=6)
    assert (amount.bytes_per_token, amount.tokens_per_word, amount.tokens_per_character) == (2.0, 1.5, 0.6)
    assert Amount().bytes_per_token is Amount().tokens_per_word is Amount().tokens_per_character is None


def test_it_is_read_back_and_damage_is_named(tmp_path) -> None:
    made = fertility.Fertility(sources={"prose": {"en": Amount(documents=1)}})
    with pytest.raises(InputError, match=r"fertility\.json: not found"):
        fertility.read(tmp_path)
    fertility.write(tmp_path, made)
    assert fertility.read(tmp_path) == made
    (tmp_path / "fertility.json").write_text('{"sources": 3}')
    with pytest.raises(InputError, match=r"fertility\.json: damaged"):
        fertility.read(tmp_path)
