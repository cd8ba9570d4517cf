"""The extraction benchmark runs at its smallest, and says what it could not compare."""

from pathlib import Path

import pytest
from benchmarks import curation_extraction


def test_extraction_prints_speeds_and_quality(capsys: pytest.CaptureFixture[str]) -> None:
    assert curation_extraction.run(small=True) == 0
    printed = capsys.readouterr().out
    assert "orfevre" in printed and "resiliparse" in printed and "F1" in printed and "ratio of speeds" in printed


def test_without_data_it_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert curation_extraction.run(tmp_path) == 0 and "needs --data" in capsys.readouterr().out


def test_scores_count_as_the_gold_says() -> None:
    row = {"must_contain": ["a b", "c"], "must_not_contain": ["d"]}
    assert curation_extraction.snippet_scores([(row, "ab d")]) == (0.5, 0.5, 0.5)
    assert curation_extraction.word_f1("one two", "two three") == 0.5
