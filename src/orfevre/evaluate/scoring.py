"""Which held-out documents are scored, what each cost, and how that is kept while the other sources are still to do."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orfevre import artifact
from orfevre.data.shards import Shard
from orfevre.engine import score
from orfevre.model.transformer import Transformer


@dataclass(frozen=True)
class SourceScore:
    """What the model made of one source. Lists are by document."""

    nats: list[float]
    num_bytes: list[int]
    tokens: int
    """Predicted in all: every token but each document's first."""
    document_experts: list[list[list[int]]]
    """Times each expert was chosen, by document and layer."""

    @property
    def expert_counts(self) -> list[list[int]]:
        """Times each expert was chosen, by layer."""
        layers: list[list[int]] = np.array(self.document_experts, dtype=np.int64).sum(axis=0).tolist()
        return layers

    @property
    def expert_load(self) -> list[list[float]]:
        """Share of the choices that fell on each expert, by layer; each layer sums to 1."""
        return [[count / sum(layer) for count in layer] for layer in self.expert_counts]


def choose(shard: Shard, num_documents: int) -> npt.NDArray[np.int64]:
    """Indices of up to `num_documents` documents, in the shard's order: those whose id has the least hash.

    So the choice depends on nothing but the ids: other documents coming or going moves it least.
    """
    hashes = [hashlib.sha256(name.encode()).digest() for name in shard.ids]
    least = sorted(range(len(hashes)), key=hashes.__getitem__)[:num_documents]
    return np.array(sorted(least), dtype=np.int64)


def num_predicted(shard: Shard, documents: npt.NDArray[np.int64]) -> int:
    """Tokens that scoring these documents predicts."""
    return int((shard.documents[documents + 1] - shard.documents[documents] - 1).sum())


def score_source(
    model: Transformer, shard: Shard, documents: npt.NDArray[np.int64], sequence_length: int
) -> SourceScore:
    """Documents longer than `sequence_length` are scored in windows of it: the length the model was trained on."""
    losses = score.score_shard(model, shard, documents=documents, sequence_length=sequence_length)
    return SourceScore(
        nats=losses.nats.tolist(),
        num_bytes=losses.num_bytes.tolist(),
        tokens=losses.tokens,
        document_experts=losses.document_experts.tolist(),
    )


def save(path: Path, scored: SourceScore) -> None:
    """Keep a source's score, written aside and renamed; floats come back bit for bit."""
    path.parent.mkdir(exist_ok=True)
    artifact.write_text(path, json.dumps(vars(scored), allow_nan=False))


def restore(path: Path) -> SourceScore | None:
    """What an earlier attempt kept, or None."""
    return SourceScore(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
