"""Texts through a model: what each token cost, and which experts it was sent to in every layer.

A text longer than the window is read in consecutive windows, each without sight of the one before, as `evaluate` reads.

Shapes: B windows, S positions, T = tokens of a text, V vocabulary, L layers, E experts, k experts per token.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from orfevre import console
from orfevre.engine import specialisation
from orfevre.model.moe import Routing
from orfevre.model.transformer import Transformer, check_ids

BATCH_TOKENS = 4096
"""Run through the model together, padding included."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trace:
    """One text."""

    ids: Ints
    """`[T]`"""
    bits: npt.NDArray[np.float64]
    """What predicting each token cost `[T]`; NaN for the first, which nothing predicts."""
    chosen: Ints
    """`[L, T, k]`, the likeliest first."""
    weights: Floats
    """Of the chosen in what the token gets `[L, T, k]`, summing to 1."""
    entropy: Floats
    """Of the router's probabilities over all experts, bits `[L, T]`."""
    z: Floats
    """Squared log-sum-exp of the router's logits `[L, T]` (router z-loss, arXiv 2202.08906, eq. 5)."""

    def counts(self, num_experts: int) -> Ints:
        """Times each expert was chosen `[L, E]`; a layer sums to T k."""
        flat = self.chosen.reshape(len(self.chosen), -1)
        return np.stack([np.bincount(layer, minlength=num_experts) for layer in flat]).astype(np.int64)


def trace(model: Transformer, ids: Sequence[int] | Ints, window: int) -> Trace:
    """Follow one text. Raises UserError for an id out of range."""
    return next(iter(follow(model, [np.asarray(ids, dtype=np.int64)], window)))


def follow(model: Transformer, texts: Sequence[Ints], window: int, bar: console.Bar | None = None) -> Iterator[Trace]:
    """Trace texts in their order; several windows go through the model together."""
    for ids in texts:
        check_ids(torch.from_numpy(ids), model.vocab_size)
    places = [(text, start) for text, ids in enumerate(texts) for start in range(0, len(ids), window)]
    parts: list[Trace] = []
    for batch in _batches([len(texts[text][start : start + window]) for text, start in places]):
        windows = [texts[text][start : start + window + 1] for text, start in places[batch]]
        for (_, start), part in zip(places[batch], _run(model, windows, window), strict=True):
            if start == 0 and parts:
                yield _joined(parts)
                parts = []
            parts.append(part)
            if bar is not None:
                bar.advance(len(part.ids))
    if parts:
        yield _joined(parts)


def _batches(lengths: Sequence[int]) -> Iterator[slice]:
    """Neighbours together, as many as BATCH_TOKENS allows once padded to the longest."""
    start, longest = 0, 0
    for place, length in enumerate(lengths):
        if place > start and max(longest, length) * (place - start + 1) > BATCH_TOKENS:
            yield slice(start, place)
            start, longest = place, 0
        longest = max(longest, length)
    if lengths:
        yield slice(start, len(lengths))


def _run(model: Transformer, windows: Sequence[Ints], window: int) -> Iterator[Trace]:
    """Each window holds its inputs and, where the text goes on, one token more, which is only predicted."""
    inputs = [len(ids[:window]) for ids in windows]
    padded = np.zeros((len(windows), max(inputs) + 1), dtype=np.int64)
    for place, ids in enumerate(windows):
        padded[place, : len(ids)] = ids
    ids_BS = torch.from_numpy(padded)
    nats_BS, routings = model.token_losses(ids_BS[:, :-1], ids_BS[:, 1:])
    bits_BS = nats_BS.double().numpy() / math.log(2)
    routed = [_seen(routing) for routing in routings]
    for row, (length, ids) in enumerate(zip(inputs, windows, strict=True)):
        here = slice(row * (padded.shape[1] - 1), row * (padded.shape[1] - 1) + length)
        # one bit figure more than there are inputs, where the text goes on: it is the next window's first token's
        bits = np.concatenate([[math.nan], bits_BS[row, : len(ids) - 1]])
        yield Trace(
            ids[:window],
            bits,
            np.stack([layer[0][here] for layer in routed]),
            np.stack([layer[1][here] for layer in routed]),
            np.stack([layer[2][here] for layer in routed]),
            np.stack([layer[3][here] for layer in routed]),
        )


def _seen(routing: Routing) -> tuple[Ints, Floats, Floats, Floats]:
    """Chosen and weights `[B S, k]`, entropy and z `[B S]` of a layer."""
    p = routing.probabilities.float()
    entropy = -(p * p.clamp_min(1e-30).log2()).sum(dim=-1)
    z = routing.logits.float().logsumexp(dim=-1).square()
    return routing.chosen.numpy(), routing.weights.float().numpy(), entropy.clamp_min(0).numpy(), z.numpy()


def _joined(parts: Sequence[Trace]) -> Trace:
    """The windows of one text, side by side."""
    ids = np.concatenate([part.ids for part in parts])
    bits = np.full(len(ids), math.nan)
    start = 0
    for part in parts:
        bits[start + 1 : start + len(part.bits)] = part.bits[1:]
        start += len(part.ids)
    sides = (
        np.concatenate([getattr(part, side) for part in parts], axis=1)
        for side in ("chosen", "weights", "entropy", "z")
    )
    return Trace(ids, bits, *sides)


def by_layer(traces: Iterable[Trace], num_experts: int) -> list[dict[str, Any]]:
    """JSON of the load and the routing's certainty: `{"layer", "counts", "load_entropy", "load_entropy_share",
    "token_entropy", "token_entropy_share", "router_z"}` a layer; entropies in bits and as a share of log2 E."""
    made = list(traces)
    counts = np.sum([one.counts(num_experts) for one in made], axis=0)
    entropy = np.concatenate([one.entropy for one in made], axis=1).mean(axis=1, dtype=np.float64)
    z = np.concatenate([one.z for one in made], axis=1).mean(axis=1, dtype=np.float64)
    load = specialisation.entropy(specialisation.shares(counts))
    return [
        {"layer": layer, "counts": counts[layer].tolist(), "load_entropy": float(load[layer]),
         "load_entropy_share": specialisation.share_of_most(float(load[layer]), num_experts),
         "token_entropy": float(entropy[layer]),
         "token_entropy_share": specialisation.share_of_most(float(entropy[layer]), num_experts),
         "router_z": float(z[layer])}
        for layer in range(len(counts))
    ]  # fmt: skip


def predicted(bits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Those of tokens that something predicts."""
    return bits[~np.isnan(bits)]
