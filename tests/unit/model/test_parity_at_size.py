"""Parity with transformers at sizes where rounding and routing have room to differ. Slow."""

from typing import Any

import pytest
import torch
from tests.unit.model.reference import mixtral, published_names

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.model.transformer import Transformer
from orfevre.weights.state import to_hugging_face

pytestmark = pytest.mark.slow

SHAPE = {"hidden_size": 512, "num_layers": 8, "num_heads": 8, "num_kv_heads": 2, "ffn_size": 1792}
SMALLER = {"hidden_size": 256, "num_layers": 6, "num_heads": 8, "num_kv_heads": 4, "ffn_size": 896}


def both(vocab_size: int, shape: dict[str, Any], device: torch.device) -> tuple[Transformer, Any]:
    model = build(recipe.Model(**shape, context_length=512), vocab_size, seed=1).to(device)
    return model, mixtral(model)


@pytest.mark.parametrize("sequence_length", [64, 512])
@pytest.mark.parametrize("window", [0, 100])
def test_logits_at_two_hundred_million_parameters(sequence_length: int, window: int, device: torch.device) -> None:
    model, theirs = both(32_000, SHAPE | {"sliding_window": window}, device)
    ids = torch.randint(32_000, (2, sequence_length), generator=torch.Generator().manual_seed(2)).to(device)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(input_ids=ids).logits, atol=1e-4, rtol=1e-4)


def test_gradients_at_forty_million_parameters(device: torch.device) -> None:
    """Each parameter's, as a share of its norm."""
    model, theirs = both(8000, SMALLER | {"aux_loss_weight": 0.0, "z_loss_weight": 0.0}, device)
    ids = torch.randint(8000, (4, 257), generator=torch.Generator().manual_seed(2)).to(device)
    logits = theirs(input_ids=ids[:, :-1]).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
    model.losses(ids[:, :-1], ids[:, 1:]).total.backward()
    found = to_hugging_face({name: each.grad for name, each in model.named_parameters()}, model.config)
    wanted = published_names({name: each.grad for name, each in theirs.named_parameters()})
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm(), name
