"""Small models on disk, whose routing is known, and a run around them."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from orfevre import recipe
from orfevre.data import tokenizer
from orfevre.engine.build import build
from orfevre.model.transformer import Transformer
from orfevre.weights import huggingface

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
import synthetic_run

SHAPE = recipe.Model(
    hidden_size=16, num_layers=3, num_heads=2, num_kv_heads=1, ffn_size=8, num_experts=4, context_length=32
)
TEXT = "Été à l'œuvre, la forêt s'éveille.\ndef read(path):\n    return open(path).read()  # 😀\n"

Save = Callable[..., Path]


def save(folder: Path, model: Transformer, coder: tokenizer.Tokenizer | None) -> Path:
    """A release folder in our own names."""
    folder.mkdir()
    kept = model.state_dict()
    tensors = dict(model.named_parameters()) | {name: x for name, x in model.named_buffers() if name in kept}
    save_file({name: x.detach().contiguous() for name, x in tensors.items()}, folder / "model.safetensors")
    special = {} if coder is None else {"bos_token_id": coder.bos}
    (folder / "config.json").write_text(
        json.dumps(huggingface.write_own(model.config, model.vocab_size, special, "float32"))
    )
    if coder is not None:
        coder.save(folder / "tokenizer.json")
    return folder


@pytest.fixture(scope="session")
def coder() -> tokenizer.Tokenizer:
    return tokenizer.train([[TEXT] * 20], 300)


@pytest.fixture
def model(coder: tokenizer.Tokenizer) -> Transformer:
    return build(SHAPE, coder.vocab_size, seed=3).eval()


@pytest.fixture
def by_parity(coder: tokenizer.Tokenizer) -> Transformer:
    """Every layer sends even ids to experts 0 (first) and 1, odd ones to 2 and 3, whatever stands around them.

    The stream keeps the embedding, (1, 1, 0 ...) or (1, -1, 0 ...), for attention and experts write nothing; after the
    norm its two numbers are sqrt(8), and the router's logits +-sqrt(8) for the pair, less by sqrt(2) for its second.
    """
    made = build(SHAPE, coder.vocab_size, seed=3).eval()
    with torch.no_grad():
        made.embedding.weight.zero_()
        made.embedding.weight[:, 0] = 1.0
        made.embedding.weight[:, 1] = torch.tensor([1.0, -1.0]).repeat(coder.vocab_size)[: coder.vocab_size]
        for block in made.blocks:
            block.attention.out.weight.zero_()
            block.moe.w2.zero_()
            block.moe.gate.weight.zero_()
            block.moe.gate.weight[:, 1] = torch.tensor([1.0, 1.0, -1.0, -1.0])
            block.moe.gate.weight[:, 0] = torch.tensor([0.0, -0.5, 0.0, -0.5])
    return made


def permuted(model: Transformer, orders: list[list[int]]) -> Transformer:
    """The same model with the experts of each layer in another order."""
    made = build(model.config, model.vocab_size, seed=1).eval()
    made.load_state_dict(model.state_dict())
    with torch.no_grad():
        for block, order in zip(made.blocks, orders, strict=True):
            for tensor in (block.moe.w13, block.moe.w2, block.moe.gate.weight):
                tensor.copy_(tensor[order].clone())
    return made


def make_run(folder: Path, seed: int = 5) -> Path:
    """A finished synthetic run whose checkpoint is a model that can be run."""
    run = synthetic_run.make(folder, documents=6)
    train = run / "train"
    shape = recipe.Model.model_validate_json((train / "config.json").read_text())
    index = json.loads((run / "tokenize" / "index.json").read_text())
    made = build(shape.model_copy(update={"vocab_size": 0}), index["vocab_size"], seed)
    checkpoint = train / json.loads((train / "summary.json").read_text())["checkpoint"] / "model.safetensors"
    save_file({name: parameter.detach() for name, parameter in made.named_parameters()}, checkpoint)
    (train / "config.json").write_text(made.config.model_dump_json())
    return run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several threads, much so beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
