"""The benchmark of readers at its smallest: every way reads the same number of records."""

import re

import pytest
from benchmarks import curation_readers


def test_the_benchmark_of_readers_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert curation_readers.run(small=True) == 0
    told = capsys.readouterr().out
    for part in told.split("unpacked\n")[1:]:
        counts = re.findall(r"\((\d+) read\)", part)
        assert len(counts) >= 2 and len(set(counts)) == 1 and int(counts[0]) > 0
    assert "orfevre told of a loss in 5 of 5" in told
