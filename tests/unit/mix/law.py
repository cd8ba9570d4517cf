"""A synthetic truth for the mix stage: a known law in place of training, and a tokenize folder without text."""

import hashlib
from pathlib import Path

import numpy as np

from orfevre import recipe
from orfevre.data import shards
from orfevre.mix.proxies import Row, Task

SOURCES = ("books", "code", "docs", "web")
TOKENS = dict(zip(SOURCES, (400_000, 200_000, 100_000, 300_000), strict=True))
NOISE = 0.003
KIN = np.array([[1.0, 0.02, 0.1, 0.3], [0.02, 1.0, 0.2, 0.05], [0.1, 0.2, 1.0, 0.1], [0.3, 0.05, 0.1, 1.0]])
"""How much each source teaches about each other (symmetric)."""


def tokenize_folder(folder: Path, tokens: dict[str, int] | None = None, held_out: int = 1000) -> Path:
    """index.json only: the law needs no text."""
    sizes = {
        name: shards.SourceIndex(
            train=shards.Split(tokens=number, documents=10, bytes=number * 4),
            validation=shards.Split(tokens=held_out, documents=2, bytes=held_out * 4),
        )
        for name, number in (tokens or TOKENS).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    shards.write_index(folder, shards.Index(vocab_size=1024, dtype="uint16", bos=0, eos=1, pad=2, sources=sizes))
    return folder


def make_recipe(
    train_tokens: int = 1_000_000, source_keys: dict[str, object] | None = None, **mix: object
) -> recipe.Recipe:
    source = {"paths": ["x"], "format": "text", "licence": "MIT", "language": "en"} | (source_keys or {})
    table = {
        "name": "law",
        "runner": {"kind": "inline"},
        "sources": [source | {"name": name} for name in SOURCES],
        "mix": {"target": {"code": 0.7, "docs": 0.3}, "num_proxies": 24, "training": {"tokens": 100_000}} | mix,
        "train": {"tokens": train_tokens},
    }
    return recipe.from_table(table, "law")


def losses(weights: dict[str, float], budget: float = 1.0) -> dict[str, float]:
    """Own share helps, a relative's helps less, more compute helps all: smooth, with an optimum inside the simplex."""
    return dict(
        zip(SOURCES, loss_rows(np.array([[weights[name] for name in SOURCES]]), budget)[0].tolist(), strict=True)
    )


def loss_rows(mixtures: np.ndarray, budget: float = 1.0) -> np.ndarray:
    """The same for mixtures [m, 4] -> [m, 4]."""
    return 2.0 * (mixtures @ KIN * budget + 0.02) ** -0.15


def train(task: Task) -> Row:
    """The law with noise drawn from the run's name: equal runs, equal rows, in any order."""
    run = task.run
    key = hashlib.sha256(f"{run.run}{run.seed}".encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(key, "little"))
    clean = losses(dict(run.weights), run.budget)
    tokens = int(task.bench.training.tokens * run.budget)
    noisy = {name: loss + NOISE * float(rng.standard_normal()) for name, loss in clean.items()}
    return {"tokens": tokens, "flops": 6.0 * tokens, "seconds": 0.0, "losses": noisy}


SLOPE = 1.4
"""How much more than at the proxies' size `code` gains from its data at a larger one; the other losses as before."""


def train_at_size(task: Task) -> Row:
    """`train`, but a wider model is better by a tenth of a bit, and `code` depends more on the mixture."""
    row = train(task)
    if task.bench.shape.hidden_size <= 64:
        return row
    losses = {name: loss - 0.1 for name, loss in row["losses"].items()}
    losses["code"] = 2.5 + SLOPE * (losses["code"] - 2.5)
    return row | {"losses": losses}
