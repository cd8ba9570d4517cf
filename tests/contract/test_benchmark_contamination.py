"""The benchmark of decontamination runs at its smallest and prints what it promises."""

import pytest
from benchmarks import curation_contamination

from orfevre.kernels import native


def test_it_prints_speed_and_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    if native.library() is None:
        pytest.skip("the C kernels are not built here")
    assert curation_contamination.run(small=True) == 0
    said = capsys.readouterr().out
    assert "MB per CPU second" in said and "as it is 1.00, upper case 1.00, other punctuation 1.00" in said
    assert "0 of" in said
