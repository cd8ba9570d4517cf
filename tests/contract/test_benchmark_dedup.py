"""Benchmarks of deduplication run at their smallest and print what they promise. How fast they are, no test says."""

from pathlib import Path

import pytest
from benchmarks import curation_dedup, curation_shuffle

from orfevre.kernels import native


@pytest.fixture(autouse=True)
def _the_kernel_is_built() -> None:
    if native.library() is None:
        pytest.skip("the C kernels are not built here")


def test_speed_beside_whom_is_installed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curation_dedup, "removers", lambda: {"orfevre": curation_dedup.dedup_peers.orfevre})
    assert curation_dedup.run(small=True) == 0
    said = capsys.readouterr().out
    assert "MB per CPU second" in said and "goal of 110" in said and "recall and precision: skipped" in said


def test_peers_that_are_missing_are_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curation_dedup.importlib.util, "find_spec", lambda name: name == "orfevre" or None)
    assert list(curation_dedup.removers()) == ["orfevre"]
    assert capsys.readouterr().out.count("is not installed") == 4


def test_every_true_pair_is_found_and_no_other(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curation_dedup.compare_finds(data / "messy")
    said = [line for line in capsys.readouterr().out.splitlines() if "the default" in line]
    assert len(said) == 1 and "recall 1.0000, precision 1.0000" in said[0]


def test_the_shuffle_finds_what_was_planted(capsys: pytest.CaptureFixture[str]) -> None:
    assert curation_shuffle.run(small=True) == 0
    assert "all found, nothing else" in capsys.readouterr().out
