"""Where documents went after curation: token shards, training, the release."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orfevre.data import shards
from orfevre.provenance.runs import Run, load


@dataclass(frozen=True)
class Place:
    """Where a document stands in the token shards."""

    id: str
    source: str
    split: str
    number: int
    """Which document of the shard, from 0."""

    first: int
    """Its first token in the .bin file."""

    tokens: int


@dataclass(frozen=True)
class Trained:
    """What training read of a source."""

    steps: int
    epochs: float
    """How often the source's training tokens were read."""


@dataclass(frozen=True)
class Released:
    name: str
    folder: str
    magnet: str


def places(run: Run, ids: Collection[str]) -> list[Place]:
    """Every place of these documents; none before tokenize has finished."""
    if not run.has("tokenize"):
        return []
    folder = run.folder / "tokenize"
    wanted, found = set(ids), []
    for source in shards.read_index(folder).sources:
        for split in shards.SPLITS:
            shard = shards.open_shard(folder, source, split)
            for number, name in enumerate(shard.ids):
                if name in wanted:
                    first, end = int(shard.documents[number]), int(shard.documents[number + 1])
                    found.append(Place(name, source, split, number, first, end - first))
    return found


def trained(run: Run, source: str) -> Trained | None:
    """What the training run read of a source of the shards; None before it has finished."""
    if not run.has("train"):
        return None
    summary = load(run.folder / "train" / "summary.json")
    return Trained(int(summary["steps"]), float(summary["epochs"].get(source, 0.0)))


def checkpoints(run: Run) -> list[str]:
    """Checkpoints of the finished training run, or of the one under way."""
    folders = [run.folder / name / "checkpoints" for name in ("train", ".train.partial")]
    return sorted(str(path) for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir())


def released(run: Run) -> Released | None:
    """The release that was made of the run, if one was."""
    if not run.has("release"):
        return None
    folder = run.folder / "release"
    name = run.recipe.release.model_name or run.recipe.name
    return Released(name, str(folder / name), (folder / "magnet.txt").read_text(encoding="utf-8").strip())


def as_table(entry: Any) -> dict[str, Any] | None:
    return None if entry is None else asdict(entry)


def shard_path(run: Run, place: Place) -> Path:
    return run.folder / "tokenize" / "shards" / place.source / f"{place.split}.bin"
