"""A folder with a small model that speaks, its tokenizer beside it, in orfevre's own format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from orfevre import recipe
from orfevre.data import tokenizer
from orfevre.engine.build import build
from orfevre.weights import huggingface, written

SHAPE = recipe.Model(
    hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=64, num_experts=4, context_length=128
)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model's folder; `spoil` changes its weights first."""

    def make(spoil: Callable[[Any], None] = lambda model: None, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp("served") / "speaker"
        folder.mkdir()
        coder = tokenizer.train([["the cat sat on the mat and the dog sat on the cat, été " * 20] * 3], 300)
        coder.save(folder / "tokenizer.json")
        config = recipe.Model.model_validate(SHAPE.model_dump() | options)
        model = build(config, coder.vocab_size, seed=1)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "gate" not in name:  # a router so sure that float32 sees ties would choose differently by rounding
                    parameter.mul_(4)  # initial weights say nothing: all logits are near 0
            spoil(model)
        special = {"bos_token_id": coder.bos, "eos_token_id": coder.eos, "pad_token_id": coder.pad}
        table = huggingface.write_own(config, coder.vocab_size, special, "float32")
        (folder / "config.json").write_text(json.dumps(table))
        written.write(folder, written.in_memory(dict(model.named_parameters()), torch.float32))
        return folder

    return make


@pytest.fixture(scope="session")
def folder(make_folder: Callable[..., Path]) -> Path:
    return make_folder()
