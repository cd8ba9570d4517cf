"""Six finished artefacts of a tiny run, written by hand; names and texts are as awkward as people can make them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from orfevre.data import tokenizer
from orfevre.ledger import FORMAT, Manifest
from orfevre.model.transformer import Transformer, initialise
from orfevre.plan import stage as plan_stage
from orfevre.recipe import Evaluate, Mix, Model, Recipe, Release, Source

MODEL = Model(
    hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=48, num_experts=4, context_length=256,
    rope_theta=10_000.0,
)  # fmt: skip
AWKWARD = "a | pipe,\na new line, `code`, [a link](x), <b>tag</b> and *stars*"


@pytest.fixture
def recipe() -> Recipe:
    sources = (
        Source(name="books", paths=("x",), format="text", licence="CC0-1.0", language="en", description=AWKWARD),
        Source(name="code", paths=("x",), format="code", licence="MIT | own", language="python"),
    )
    return Recipe(
        name="tiny",
        sources=sources,
        mix=Mix(target={"books": 1.0}),
        model=MODEL,
        evaluate=Evaluate(),
        release=Release(model_name="Tiny-1", provider="A | B SAS", trackers=("udp://tracker.example:6969/announce",)),
    )


@pytest.fixture
def inputs(tmp_path: Path, recipe: Recipe) -> dict[str, Path]:
    """Folders of every stage that release reads."""
    folders = {stage: tmp_path / "work" / stage for stage in ("curate", "tokenize", "mix", "plan", "train", "evaluate")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    write(folders["curate"] / "stats.json", _stats())
    vocab_size = _tokenize(folders["tokenize"])
    write(folders["mix"] / "mixture.json", _mixture())
    plan_stage.run(recipe, folders, folders["plan"])
    _train(folders["train"], MODEL.model_copy(update={"vocab_size": vocab_size}))
    write(folders["evaluate"] / "scores.json", _scores())
    for number, (stage, folder) in enumerate(folders.items(), start=1):
        (folder / "manifest.json").write_text(_manifest(stage, number).model_dump_json())
    return folders


@pytest.fixture
def change() -> Callable[[Path, Callable[[Any], None]], None]:
    """Edit a JSON file in place."""

    def edit(path: Path, how: Callable[[Any], None]) -> None:
        table = json.loads(path.read_text())
        how(table)
        write(path, table)

    return edit


def write(path: Path, table: Any) -> None:
    path.write_text(json.dumps(table))


def _stats() -> dict[str, Any]:
    split = {"documents": 10, "bytes": 1000}
    one = {"files": 1, "raw_bytes": 1000, "read": 15, "kept": 12, "kept_bytes": 900, "train": split,
           "validation": split, "dropped": {"too_short": 2, "near_duplicate": 1}, "languages": {"en": 12},
           "broken": {}, "licences": {"CC0-1.0": 12}, "licence": "x", "language": "en"}  # fmt: skip
    code = {**one, "read": 12, "dropped": {}, "licences": {"MIT | own": 12}}
    return {"sources": {"books": one, "code": code}}


def _tokenize(folder: Path) -> int:
    made = tokenizer.train([["the cat sat on the mat and the dog sat on the cat " * 20] * 3], 320)
    made.save(folder / "tokenizer.json")
    split = {"tokens": 5_000_000, "documents": 10, "bytes": 20_000_000}
    both = {"train": split, "validation": split}
    index = {"vocab_size": made.vocab_size, "dtype": "uint16", "bos": made.bos, "eos": made.eos, "pad": made.pad,
             "sources": {"books": both, "code": both}}  # fmt: skip
    write(folder / "index.json", index)
    return made.vocab_size


def _mixture() -> dict[str, Any]:
    expected = {"target": 2.5, "interval": [2.4, 2.6], "losses": {"books": 2.5, "code": 2.0}}
    kinds = dict.fromkeys(("chosen", "natural", "uniform", "by_hand"), expected)
    size = {"parameters": 100_000, "tokens": 1_000_000, "runs": 2}
    gain = {"gain": 0.1, "interval": [0.05, 0.15]}
    return {
        "sources": ["books", "code"], "target": {"books": 1.0}, "confidence": 0.9, "unit": "bits per byte",
        "arms": list(kinds), "baselines": {"by_hand": {"books": 0.9, "code": 0.1}},
        "scales": {"proxies": size | {"runs": 32}, "ladder": [], "check": size, "predicted": "proxies"},
        "weights": {"books": 0.75, "code": 0.25}, "intervals": {"books": [0.6, 0.9], "code": [0.1, 0.4]},
        "limits": {"books": [0, 1], "code": [0, 1]}, "binding": ["books"],
        "natural": {"books": 0.5, "code": 0.5}, "uniform": {"books": 0.5, "code": 0.5},
        "epochs": {"books": 0.1, "code": 0.1}, "unconstrained": {"books": 1.0, "code": 0.0},
        "predicted": kinds, "measured": {kind: {**expected, "runs": [2.5, 2.5]} for kind in kinds},
        "verdict": {"wins": True, "text": "The chosen mixture wins | by much.",
                    "against": {"natural": gain, "uniform": gain, "by_hand": gain}},
        "surrogate": {"kind": "stack", "cross_validation": [], "spearman": 0.9, "coverage": 0.9}, "slices": {},
        "groups": {}, "swaps": {}, "shadow_prices": [], "ladder": None, "learning": [], "pareto": None, "batches": [],
        "ternary": None,
        "price": {"budgets": [], "exponent": 0.1, "compute_ratio": None, "interval": None, "extrapolated": False,
                  "text": "The natural mixture never gets there."},
    }  # fmt: skip


def _train(folder: Path, config: Model) -> None:
    model = Transformer(config, config.vocab_size)
    initialise(model, torch.Generator().manual_seed(7))
    with torch.no_grad():  # initial weights are so small that every logit is near 0; parity needs a model that speaks
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    checkpoint = folder / "checkpoints" / "step-3"
    checkpoint.mkdir(parents=True)
    save_file({name: p.detach() for name, p in model.named_parameters()}, checkpoint / "model.safetensors")
    (folder / "config.json").write_text(config.model_dump_json())
    summary = {"steps": 3, "tokens": 12_288, "flops": 1e12, "final_loss": 3.0,
               "epochs": {"books": 0.0018, "code": 0.0006},
               "tokens_by_source": {"books": 9216, "code": 3072}, "checkpoint": "checkpoints/step-3"}  # fmt: skip
    write(folder / "summary.json", summary)


def _scores() -> dict[str, Any]:
    score = {"bits_per_byte": 2.5, "interval": [2.4, 2.6], "documents": 10, "bytes": 1000, "tokens": 300}
    return {"confidence": 0.95, "sources": {"books": score, "code": score},
            "target": {"bits_per_byte": 2.5, "interval": [2.4, 2.6]}, "expert_load": {},
            "samples": [{"prompt": "The ", "text": "cat ```\n# not a heading\n```` sat"}]}  # fmt: skip


def _manifest(stage: str, number: int) -> Manifest:
    return Manifest(
        format=FORMAT, stage=stage, run="tiny", created="2026-11-24T10:00:00+00:00", orfevre="0.1.0", code="abc",
        fingerprint="f", depends={}, inputs={}, outputs={}, seed=1, counts={}, notes={}, attempts=1,
        wall_seconds=10.0 * number, flops=1e12 * number, energy_kwh=0.001 * number,
        energy_method="estimate: machine.watts = 65 x wall time", peak_memory_mib=512.0,
        machine={"processor": "A | CPU", "cores": "2", "memory_gib": "24.0", "python": "3.11.2"},
    )  # fmt: skip
