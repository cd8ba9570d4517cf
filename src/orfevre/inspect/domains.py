"""What experts specialise in: held-out documents of every source of a run, and which experts their tokens went to.

Shapes: D documents, L layers, E experts, k experts per token, V vocabulary.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orfevre import console
from orfevre.data import shards
from orfevre.engine import specialisation
from orfevre.model.transformer import Transformer

from .reading import Reader, visible
from .trace import Ints, Trace, by_layer, follow

DOCUMENTS = 64
"""Read of each source, from the front of its shard, where documents lie in the order of their ids (hashes)."""

TOKENS = 512
"""Most of each document: many beginnings say more of a source than a few long documents."""

TOP, LEAST_COUNT = 8, 5
"""Tokens shown of an expert, and how often one must have been sent there."""


def specialise(model: Transformer, run: Path, reader: Reader, window: int) -> dict[str, Any]:
    """JSON of the specialisation over the run's held-out documents (docs/guides/inspect.md).

    `specialisation.summarise`'s table, and `"sources": {name: {"documents", "tokens", "counts": [L][E]}}`, `"layers"`
    with `trace.by_layer`'s figures added, `"tokens": [L][E][{"token", "shown", "id", "count", "of", "lift"}]`.
    """
    documents = held_out(run / "tokenize", min(TOKENS, window))
    followed: dict[str, list[Trace]] = {}
    total = sum(len(ids) for found in documents.values() for ids in found)
    with console.progress("reading held-out documents", total, "token") as bar:
        for name, found in documents.items():
            followed[name] = list(follow(model, found, window, bar))
    experts = model.config.num_experts
    counts = {name: np.stack([one.counts(experts) for one in traces]) for name, traces in followed.items()}
    table = specialisation.summarise(counts, seed=1)
    every = [one for traces in followed.values() for one in traces]
    layers = by_layer(every, experts) if every else []
    for row, more in zip(layers, table["layers"], strict=False):
        row |= {key: value for key, value in more.items() if not key.startswith("load_entropy")}
    return {
        "names": list(counts),
        "sources": {
            name: {
                "documents": len(found),
                "tokens": sum(len(one.ids) for one in followed[name]),
                "counts": found.sum(axis=0).tolist(),
            }
            for name, found in counts.items()
        },
        "layers": layers,
        "tokens": top_tokens(every, experts, reader) if every else [],
    }


def held_out(folder: Path, most: int) -> Mapping[str, list[Ints]]:
    """The first `most` ids of up to DOCUMENTS held-out documents, for every source that has any."""
    found = {}
    for name in shards.read_index(folder).sources:
        shard = shards.open_shard(folder, name, "validation")
        starts = shard.documents[: DOCUMENTS + 1]
        documents = [
            np.asarray(shard.tokens[start : min(end, start + most)], dtype=np.int64)
            for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
            if end > start
        ]
        if documents:
            found[name] = documents
    return found


def top_tokens(traces: list[Trace], num_experts: int, reader: Reader) -> list[list[list[dict[str, Any]]]]:
    """For each layer and expert the tokens that it gets far more often than chance, the surest first.

    `count` of the token's `of` occurrences were sent to the expert; `lift` is that share over the share of all tokens.
    Ranked by the log-likelihood ratio of a binomial with the one rate against the other (Dunning 1993).
    """
    ids_T = np.concatenate([one.ids for one in traces])
    chosen_LTk = np.concatenate([one.chosen for one in traces], axis=1)
    occurrences = np.bincount(ids_T)
    return [
        [
            [
                row | {"token": (word := reader.word(row["id"])), "shown": visible(word)}
                for row in _surest(keys, counts, expert, occurrences)
            ]
            for expert in range(num_experts)
        ]
        for keys, counts in (_pairs(ids_T, chosen_Tk, num_experts) for chosen_Tk in chosen_LTk)
    ]


def _pairs(ids_T: Ints, chosen_Tk: Ints, num_experts: int) -> tuple[Ints, Ints]:
    """(token, expert) pairs that occur, `[n, 2]`, and how often each does."""
    codes = ids_T[:, None] * num_experts + chosen_Tk
    found, counts = np.unique(codes, return_counts=True)
    return np.stack([found // num_experts, found % num_experts], axis=1), counts


def _surest(pairs: Ints, counts: Ints, expert: int, occurrences: Ints) -> list[dict[str, Any]]:
    here = pairs[:, 1] == expert
    ids, sent = pairs[here, 0], counts[here].astype(np.float64)
    of, rate = occurrences[ids].astype(np.float64), counts[here].sum() / occurrences.sum()
    lift = sent / of / rate if rate else sent
    sure = np.where((lift > 1) & (sent >= LEAST_COUNT), _likelihood_ratio(sent, of, rate), 0.0)
    best = np.argsort(-sure, kind="stable")[:TOP]
    return [
        {"id": int(ids[i]), "count": int(sent[i]), "of": int(of[i]), "lift": float(lift[i])}
        for i in best.tolist() if sure[i] > 0
    ]  # fmt: skip


def _likelihood_ratio(
    sent: npt.NDArray[np.float64], of: npt.NDArray[np.float64], rate: float
) -> npt.NDArray[np.float64]:
    """2 log (likelihood at sent / of over likelihood at `rate`), of a binomial."""
    missed = of - sent
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(sent > 0, sent * np.log(sent / of / rate), 0.0)
        second = np.where(missed > 0, missed * np.log(missed / of / (1 - rate)), 0.0)
    found: npt.NDArray[np.float64] = 2 * np.nan_to_num(first + second, posinf=0.0)
    return found
