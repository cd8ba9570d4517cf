"""What is looked at: a run (its recipe or folder), a release, a Hugging Face or a Mistral folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from orfevre import artifact, recipe
from orfevre.errors import UserError
from orfevre.model import count
from orfevre.model.transformer import Transformer
from orfevre.weights.opened import Opened, open_weights

KINDS = {"hf": "Hugging Face folder", "mistral": "Mistral folder", "orfevre": "orfevre release"}


@dataclass(frozen=True)
class Subject:
    path: Path
    """As it was given."""
    opened: Opened
    kind: str
    """`run`, or one of KINDS."""
    name: str
    window: int
    """Tokens of a text that the model sees together: what it was trained on, else what it says it can take."""

    @property
    def run(self) -> Path | None:
        """The run's folder, where it is one."""
        return self.opened.path if self.kind == "run" else None

    def described(self) -> dict[str, Any]:
        """JSON: what the page and the tables are about."""
        return {"path": str(self.path), "name": self.name, "kind": self.kind, "window": self.window}


def open_subject(path: Path) -> Subject:
    """Raises UserError naming the file and the remedy for whatever is not a model."""
    opened = open_weights(path)
    folder = opened.path
    if not (folder / "train").is_dir():
        return Subject(path, opened, KINDS[opened.format], folder.resolve().name, opened.config.context_length)
    manifest = artifact.require(folder / "train")
    trained = recipe.from_json(folder / "train" / "recipe.json").train.sequence_length
    return Subject(path, opened, "run", manifest.run, trained)


def load(subject: Subject) -> Transformer:
    """The whole model, in float32 where memory allows, else bfloat16. Raises UserError when it fits in neither, and
    for a weight that is not finite, naming its tensor."""
    opened = subject.opened
    numbers, free = count.parameters(opened.config, opened.vocab_size).total, free_bytes()
    for dtype in (torch.float32, torch.bfloat16):
        if free is None or numbers * dtype.itemsize < 0.8 * free:
            return opened.load(dtype)
    raise UserError(
        f"{subject.path}: its {numbers / 1e9:.3g} billion weights take {2 * numbers / 2**30:.0f} GiB and "
        f"{(free or 0) / 2**30:.0f} GiB are free; leave out --text to see its parameters and configuration"
    )


def free_bytes() -> int | None:
    """Memory that may still be used; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return sizes[0] if sizes else None
