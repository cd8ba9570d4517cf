"""The benchmarks of the curate stage run at their smallest and say what they promise."""

import importlib.util
from pathlib import Path

import pytest
from benchmarks import curation_memory, curation_pipeline

from orfevre.kernels import native


def test_steps_goals_and_runners_are_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if native.library() is None:
        pytest.skip("the C kernels are not built here")
    monkeypatch.setattr(curation_pipeline, "DATATROVE_BYTES", {})
    assert curation_pipeline.run(small=True) == 0
    said = capsys.readouterr().out
    for words in (
        "all default rules: ",
        "goal of 50: ",
        "goal of 110: ",
        "signatures",
        "the same bytes from inline, pool: yes",
    ):
        assert words in said
    if importlib.util.find_spec("datatrove") is None:
        assert "datatrove is not installed" in said


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_is_measured_and_documents_conserved(capfd: pytest.CaptureFixture[str]) -> None:
    assert curation_memory.run(small=True) == 0
    said = capfd.readouterr().out
    assert "GiB at most" in said and "MB per CPU second" in said


def test_generated_text_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    from benchmarks import curation_input

    one, two = (curation_input.write(tmp_path / name, 200_000, seed) for name, seed in (("a", 3), ("b", 3)))
    assert one[0].read_bytes() == two[0].read_bytes()
