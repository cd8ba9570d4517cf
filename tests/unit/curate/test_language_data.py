"""Languages on sentences that the fit did not see: F1, the unknown, and whether the confidence is a probability."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import curation_languages, language_data

from orfevre.curate import language_decision
from places import ROOT

DATA = ROOT.parent / "shared" / "data"

needs_sentences = pytest.mark.skipif(
    not (DATA / language_data.FILE).exists(), reason="../shared/data/langid is not there"
)


@needs_sentences
def test_held_out_sentences() -> None:
    texts = [text for text in language_data.read(DATA) if text.half == 1]
    found = language_decision.detect([text.text for text in texts])
    known = np.array([text.label in language_data.CODES for text in texts])
    gold = np.array(["sh" if text.code in curation_languages.SERBO_CROATIAN else text.code for text in texts])
    ours = np.array(["sh" if one.code in curation_languages.SERBO_CROATIAN else one.code for one in found])
    codes = sorted(set(gold[known]))
    f1 = curation_languages._f1(gold[known], ours[known], codes)
    assert len(codes) == 81 and np.mean(list(f1.values())) >= 0.945
    sure = np.array([one.confidence for one in found])
    unknown = np.array([text.code == "und" for text in texts])
    assert (sure[unknown] >= 0.7).mean() < 0.08
    right = np.array([one.code == text.code for one, text in zip(found, texts, strict=True)])
    for low in np.arange(0.0, 1.0, 0.1):
        inside = (sure >= low) & (sure < low + 0.1)
        assert abs(sure[inside].mean() - right[inside].mean()) < 0.08


@pytest.mark.parametrize("name", ["books_fr", "law_fr", "techdocs_fr"])
def test_french_of_more_than_200_characters(name: str) -> None:
    file: Path = DATA / "text" / f"{name}.jsonl.zst"
    if not file.exists():
        pytest.skip("../shared/data/text is not there")
    pieces = language_data.pieces(file, 10_000)
    assert sum(one.code == "fr" for one in language_decision.detect(pieces)) >= 0.99 * len(pieces)
