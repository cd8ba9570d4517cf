"""The benchmarks of quality rules and personal data run at their smallest, and say what they could not compare."""

from pathlib import Path

import pytest
from benchmarks import curation_filters, curation_personal

from orfevre.kernels import native


@pytest.mark.skipif(native.library() is None, reason="it times the C kernel")
def test_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert curation_filters.run(small=True) == 0
    printed = capsys.readouterr().out
    assert "all rules: orfevre" in printed and "ratio of speeds, orfevre / ftfy" in printed
    assert "datatrove is not installed" in printed or "equal verdicts" in printed


def test_personal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert curation_personal.run(tmp_path, small=True) == 0
    printed = capsys.readouterr().out
    assert "presidio-research's sentences: skipped" in printed and "French documents made here" in printed


def test_scores_count_spans_finds_and_misses() -> None:
    texts = [("a@b.fr and 1", [("email", 0, 6), ("phone", 11, 12)]), ("x", [])]
    hits, wrong, missed = curation_personal.score(texts, lambda text: [("email", 0, 3), ("ip", 0, 1)][: len(text)])
    assert (hits["email"], missed["phone"], wrong["ip"], wrong["email"]) == (1, 1, 1, 1)


def test_french_documents_say_where_their_data_stand() -> None:
    texts = list(curation_personal.french(50))
    assert all(text[begin:end].strip() for text, spans in texts for _, begin, end in spans)
    assert curation_personal.french(50) is not texts and list(curation_personal.french(50)) == texts
