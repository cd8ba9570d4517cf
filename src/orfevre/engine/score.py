"""How well a model predicts held-out documents: nats a document, and bits per byte, which no tokenizer can flatter."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from orfevre.data.shards import Shard
from orfevre.model.transformer import Transformer

BATCH_TOKENS = 4096
"""Tokens scored at once, padding included."""


@dataclass(frozen=True)
class DocumentLosses:
    """What each scored document cost."""

    documents: npt.NDArray[np.int64]
    """Their indices in the shard `[n]`."""
    nats: npt.NDArray[np.float64]
    """Summed cross entropy of each `[n]`: every token but the first, `</s>` included."""
    num_bytes: npt.NDArray[np.int64]
    """UTF-8 bytes of each `[n]`."""
    tokens: int
    """Predicted in all."""
    document_experts: npt.NDArray[np.int64]
    """Times each expert was chosen for a document's tokens, by layer `[n, num_layers, num_experts]`."""

    @property
    def expert_counts(self) -> npt.NDArray[np.int64]:
        """The same of all documents together `[num_layers, num_experts]`."""
        return np.asarray(self.document_experts.sum(axis=0, dtype=np.int64))

    @property
    def bits_per_byte(self) -> float:
        """Bits of all documents over their bytes; NaN when there are none."""
        total = int(self.num_bytes.sum())
        return float(self.nats.sum()) / math.log(2) / total if total else math.nan


def first_documents(shard: Shard, max_tokens: int) -> npt.NDArray[np.int64]:
    """The documents at the front of a shard that together hold at most `max_tokens` tokens; one at least, if any."""
    if not len(shard.num_bytes):
        return np.empty(0, dtype=np.int64)
    within = int(np.searchsorted(shard.documents[1:] - shard.documents[0], max_tokens, side="right"))
    return np.arange(max(1, within), dtype=np.int64)


def score_shard(
    model: Transformer,
    shard: Shard,
    *,
    max_tokens: int | None = None,
    sequence_length: int | None = None,
    documents: Sequence[int] | npt.NDArray[np.int64] | None = None,
) -> DocumentLosses:
    """Score `documents` of a shard, or as many from its front as `max_tokens` allows (all by default).

    A document longer than `sequence_length` (by default the model's context) is scored in consecutive windows, each
    without sight of the one before. Its first token `<s>` is context only. The same call gives the same bits.
    """
    if documents is None:
        chosen = first_documents(shard, len(shard.tokens) if max_tokens is None else max_tokens)
    else:
        chosen = np.asarray(documents, dtype=np.int64)
    length = sequence_length or model.config.context_length
    nats = np.zeros(len(chosen))
    counts = torch.zeros(len(chosen), model.config.num_layers, model.config.num_experts, dtype=torch.int64)
    device, training = model.embedding.weight.device, model.training
    model.eval()
    num_tokens = 0
    for batch in _batches(_windows(shard, chosen, length)):
        losses, kept = _score(model, shard, batch, device, counts)
        np.add.at(nats, [window.row for window in batch], losses)
        num_tokens += kept
    model.train(training)
    return DocumentLosses(chosen, nats, np.asarray(shard.num_bytes)[chosen], num_tokens, counts.numpy())


def bits_per_byte(
    model: Transformer, shards: Mapping[str, Shard], max_tokens: int, sequence_length: int
) -> dict[str, float]:
    """Bits per byte on the front of each shard, `max_tokens` of each; an empty shard gives NaN."""
    return {
        name: score_shard(model, shard, max_tokens=max_tokens, sequence_length=sequence_length).bits_per_byte
        for name, shard in shards.items()
    }


@dataclass(frozen=True)
class _Window:
    row: int
    """Which of the chosen documents."""
    start: int
    """First input token, in the shard."""
    length: int
    """Inputs, and as many targets, one token on."""


def _windows(shard: Shard, chosen: npt.NDArray[np.int64], length: int) -> list[_Window]:
    windows = []
    for row, document in enumerate(chosen.tolist()):
        begin, last = int(shard.documents[document]), int(shard.documents[document + 1]) - 1
        windows += [_Window(row, start, min(length, last - start)) for start in range(begin, last, length)]
    return windows


def _batches(windows: list[_Window]) -> Iterator[list[_Window]]:
    """Windows of like length together, longest first, so that little is padded."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: -window.length):
        if batch and (len(batch) + 1) * batch[0].length > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _score(
    model: Transformer, shard: Shard, batch: list[_Window], device: torch.device, counts_NLE: torch.Tensor
) -> tuple[npt.NDArray[np.float64], int]:
    """Nats of each window `[B]` and the tokens predicted; adds the experts chosen for real tokens to the counts."""
    ids = np.zeros((len(batch), batch[0].length + 1), dtype=np.int64)
    for row, window in zip(ids, batch, strict=True):
        row[: window.length + 1] = shard.tokens[window.start : window.start + window.length + 1]
    lengths = torch.tensor([window.length for window in batch])
    real = torch.arange(batch[0].length) < lengths[:, None]
    ids_BS = torch.from_numpy(ids).to(device)
    nats_BS, routings = model.token_losses(ids_BS[:, :-1], ids_BS[:, 1:])
    document_T = torch.tensor([window.row for window in batch]).repeat_interleave(lengths)
    for layer, routing in enumerate(routings):
        chosen_Tk = routing.chosen.cpu()[real.flatten()]
        document_Tk = document_T[:, None].expand_as(chosen_Tk)
        counts_NLE[:, layer].index_put_((document_Tk, chosen_Tk), torch.ones_like(chosen_Tk), accumulate=True)
    losses = torch.where(real, nats_BS.cpu().double(), 0.0).sum(1)
    return losses.numpy(), int(lengths.sum())
