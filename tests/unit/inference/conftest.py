"""Small models that speak: initial weights are so small that every logit is near 0, so they are made larger."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.model.transformer import Transformer

SHAPE = recipe.Model(
    hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=32, num_experts=4, context_length=64
)
VOCAB = 50


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Transformer]:
    """A model of SHAPE with some of its options changed."""

    def make(vocab_size: int = VOCAB, **options: Any) -> Transformer:
        model = build(recipe.Model.model_validate(SHAPE.model_dump() | options), vocab_size, seed=1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Transformer]) -> Transformer:
    return make_model()
