"""The step that scores how like good text a document is, by a classifier learnt from two kinds of sources.

`curate.classifier` names them: `good` is what one wants more of, `ordinary` is text as it comes. Before any unit is
read, a sample of both is read raw, four fifths of its documents train the classifier (linear.py) and a fifth says how
well it tells them apart. The recipe's other sources are scored by the same classifier.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre import artifact
from orfevre.curate import classifier_sample, linear
from orfevre.curate.classifier_sample import Document
from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit
from orfevre.errors import InputError
from orfevre.recipe import Recipe

REASON = "low_quality"
MODEL, REPORT = "classifier.npz", "classifier.json"

LEAST_DOCUMENTS = 20
"""In training and held-out text of each kind; with fewer the figures would say nothing."""

RESAMPLES = 500
"""Bootstrap samples of documents behind the interval of the AUC."""

MOST_BYTES = 65_536
"""A longer document is scored by its beginning, middle and end, of so many bytes in all."""


def prepare(recipe: Recipe, folder: Path) -> None:
    """Train the classifier and leave it in `folder` with its report, unless it stands."""
    if not recipe.curate.classifier.good or (folder / REPORT).exists():
        return
    good = classifier_sample.read(recipe, recipe.curate.classifier.good)
    ordinary = classifier_sample.read(recipe, recipe.curate.classifier.ordinary)
    shared = {document.digest for document in good} & {document.digest for document in ordinary}
    good, ordinary = ([one for one in kind if one.digest not in shared] for kind in (good, ordinary))
    _refuse_too_few(recipe, good, ordinary)
    model = linear.train(
        *([piece for one in kind if not one.held_out for piece in one.pieces] for kind in (good, ordinary))
    )
    linear.save(model, folder / MODEL)
    artifact.write_text(folder / REPORT, json.dumps(_measured(model, good, ordinary, recipe.seed), indent=1))


def step(unit: Unit) -> Step | None:
    """None without a classifier, and for code."""
    rules = unit.curate.classifier
    if not rules.good or unit.source.format == "code":
        return None
    model = linear.load(unit.prepared / MODEL)

    def score(drafts: Sequence[Draft]) -> None:
        prose = [draft for draft in drafts if not draft.is_code]
        for draft, quality in zip(
            prose, model.scores([excerpt(draft.encoded) for draft in prose]).tolist(), strict=True
        ):
            draft.quality = quality
            if quality < rules.min_score:
                draft.drop = Drop(REASON, f"score {quality:.3f}")

    return score


def report(prepared: Path) -> dict[str, object]:
    """`{"classifier": ...}` for stats.json: how well it told held-out documents apart; empty without one."""
    path = prepared / REPORT
    return {"classifier": json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {}


def excerpt(text: bytes, most_bytes: int = MOST_BYTES) -> bytes:
    """The text, or `most_bytes` of a longer one; a character cut in two at an edge is a token nobody has seen."""
    if len(text) <= most_bytes:
        return text
    third = most_bytes // 3
    middle = (len(text) - third) // 2
    return b" ".join((text[:third], text[middle : middle + third], text[-third:]))


def _to_learn(documents: Sequence[Document]) -> list[bytes]:
    return [piece for document in documents if not document.held_out for piece in document.pieces]


def _refuse_too_few(recipe: Recipe, good: Sequence[Document], ordinary: Sequence[Document]) -> None:
    for name, documents in (("good", good), ("ordinary", ordinary)):
        held_out = sum(document.held_out for document in documents)
        if min(held_out, len(documents) - held_out) < LEAST_DOCUMENTS:
            sources = ", ".join(getattr(recipe.curate.classifier, name))
            raise InputError(
                f"curate.classifier.{name} = {sources}: {len(documents)} documents to learn from, {held_out} of them "
                f"held out; at least {LEAST_DOCUMENTS} of each are needed. Name sources with more documents (none that "
                f"stand on both sides), raise curate.classifier.sample_bytes, or leave the classifier out"
            )


def _measured(
    model: linear.Linear, good: Sequence[Document], ordinary: Sequence[Document], seed: int
) -> dict[str, object]:
    """How well held-out documents are told apart: AUC with a 95 % interval, and how far to believe the scores."""
    held = [document for document in (*good, *ordinary) if document.held_out]
    gold = np.array([True] * sum(one.held_out for one in good) + [False] * sum(one.held_out for one in ordinary))
    scores = model.scores([b"\n".join(document.pieces) for document in held])
    rng = np.random.Generator(np.random.PCG64(seed))
    ours, theirs = np.flatnonzero(gold), np.flatnonzero(~gold)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rng.choice(ours, len(ours)), rng.choice(theirs, len(theirs))])
        drawn.append(linear.auc(gold[rows], scores[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "auc": round(linear.auc(gold, scores), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "calibration_error": round(_calibration_error(gold, scores), 4),
        "documents": {"good": len(good), "ordinary": len(ordinary)},
        "held_out": {"good": len(ours), "ordinary": len(theirs)},
        "median_score": {
            "good": round(float(np.median(scores[gold])), 3),
            "ordinary": round(float(np.median(scores[~gold])), 3),
        },
    }


def _calibration_error(gold: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Mean distance between score and share of good documents over ten bins of score, both kinds weighing the same."""
    weight = np.where(gold, 0.5 / gold.sum(), 0.5 / (~gold).sum())
    bins = np.minimum((scores * 10).astype(int), 9)
    sums = [np.bincount(bins, weight * values, 10) for values in (scores, gold)]
    return float(np.abs(sums[0] - sums[1]).sum())
