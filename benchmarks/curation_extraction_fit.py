"""How the weights in extract_rule.py were obtained: `python -m benchmarks.curation_extraction_fit FOLDER`.

A logistic regression on the lines of the even half of the pages (by CRC-32 of their id) in html_gold_snippets and
html_gold_fulltext. A line that holds a wanted or an unwanted string weighs 2; a line of a page with a full gold text
is wanted if the text holds it, and weighs 0.1 to 0.6 with its length; other lines follow trafilatura, and weigh at most
0.22. The odd half is for claims only.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from resiliparse.parse.html import HTMLTree
from scipy.optimize import minimize

from benchmarks.curation_extraction import is_for_choosing, pages, squeeze
from orfevre.data.readers.extract import lines
from orfevre.data.readers.extract_blocks import NAMES, Block, features

DECISIVE, FULL, TAUGHT = 2.0, 0.5, 0.2
RIDGE = 3.0


def main(arguments: list[str]) -> int:
    from trafilatura import extract

    rows, wanted, weights = [], [], []
    for name in ("snippets", "fulltext"):
        for page in pages(Path(arguments[0]), name):
            found = lines(HTMLTree.parse(page["html"])) if is_for_choosing(page) else []
            if found:
                teacher = squeeze(extract(page["html"], include_comments=False) or "")
                rows.append(features(found))
                for block in found:
                    label, weight = _label(block, page, teacher)
                    wanted.append(label)
                    weights.append(weight)
    fitted = _fit(np.vstack(rows), np.array(wanted), np.array(weights))
    print(json.dumps({name: round(float(value), 3) for name, value in zip(NAMES, fitted, strict=True)}, indent=4))
    return 0


def _label(block: Block, page: dict[str, Any], teacher: str) -> tuple[float, float]:
    line = squeeze(block.text)
    if page.get("gold_text"):
        return float(line in squeeze(page["gold_text"])), FULL * min(1.0, len(line) / 30) + 0.1
    wanted = any(text in line or (len(line) > 15 and line in text) for text in map(squeeze, page["must_contain"]))
    unwanted = any(text in line for text in map(squeeze, page["must_not_contain"]))
    if wanted != unwanted:
        return float(wanted), DECISIVE
    if wanted:
        return 1.0, 0.1
    return float(line in teacher), TAUGHT * min(1.0, len(line) / 60) + 0.02


def _fit(rows: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients for features as they are; the fit itself is on standardised ones. Column 0 is the constant."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    mean[0], spread[spread == 0] = 0.0, 1.0
    scaled = (rows - mean) / spread

    def loss(guess: np.ndarray) -> tuple[float, np.ndarray]:
        scores = scaled @ guess
        errors = weights * (1 / (1 + np.exp(-scores)) - wanted)
        gradient = scaled.T @ errors
        gradient[1:] += RIDGE * guess[1:]
        value = (weights * (np.logaddexp(0, scores) - wanted * scores)).sum() + RIDGE * guess[1:] @ guess[1:] / 2
        return float(value), gradient

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    raw = found / spread
    raw[0] -= (found[1:] * mean[1:] / spread[1:]).sum()
    return raw


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
