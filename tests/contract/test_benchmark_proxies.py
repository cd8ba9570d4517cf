"""The benchmark of stacked proxies runs at its smallest and prints both ways."""

import pytest
from benchmarks import proxies


def test_prints_each_way_and_its_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    assert proxies.run(small=True) == 0
    said = capsys.readouterr().out
    for way in ("1 x 1 thread, one by one", "1 x 1 thread, stacks of 2"):
        assert any(way in line and "tokens/s" in line and "of the first" in line for line in said.splitlines())
