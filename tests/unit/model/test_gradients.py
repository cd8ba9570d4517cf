"""Every gradient in float64 against finite differences: whole small models, whatever the options, and their parts."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.reference import options

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.model.moe import MixtureOfExperts
from orfevre.model.transformer import Transformer

VOCAB = 7
EVERYTHING = {
    "hidden_size": 6,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_size": 4,
    "ffn_size": 3,
    "num_experts": 4,
    "experts_per_token": 2,
    "shared_experts": 2,
    "router": "sigmoid",
    "balancing": "bias",
    "sliding_window": 3,
    "qk_norm": True,
    "tie_embeddings": True,
    "mtp_depth": 2,
    "context_length": 8,
    "aux_loss_weight": 0.3,
    "z_loss_weight": 0.1,
}


def tiny(config: recipe.Model, seed: int) -> Transformer:
    model = build(config, VOCAB, seed).double()
    for module in model.modules():
        if isinstance(module, MixtureOfExperts) and module.biased:
            module.balance_bias.normal_(std=0.1, generator=torch.Generator().manual_seed(seed))
    return model


def holds(model: Transformer, ids: torch.Tensor, segments: torch.Tensor | None, *, fast: bool) -> bool:
    """gradcheck of the whole loss in every parameter: entry by entry, or along one random direction."""
    named = dict(model.named_parameters())

    def total(*values: torch.Tensor) -> torch.Tensor:
        replaced = dict(zip(named, values, strict=True))
        inputs = (ids[:, :-1], ids[:, 1:], segments)
        return torch.func.functional_call(
            _Total(model), {f"model.{name}": value for name, value in replaced.items()}, inputs
        )

    return torch.autograd.gradcheck(total, tuple(named.values()), fast_mode=fast, atol=1e-6, rtol=1e-4)


class _Total(torch.nn.Module):
    """functional_call calls `forward`; the loss is behind another door."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> torch.Tensor:
        return self.model.losses(*inputs).total  # type: ignore[no-any-return]


def batch(seed: int, masked: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(VOCAB, (2, 8), generator=generator)
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, -1], [-1, 3, 3, 3, 3, 3, 3]]) if masked else None
    return ids, segments


SMALLEST = {"hidden_size": 4, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "head_size": 2, "ffn_size": 2}
LIKE_MIXTRAL = {"router": "softmax", "balancing": "loss", "tie_embeddings": False}


@pytest.mark.parametrize(("changes", "masked"), [({"mtp_depth": 1}, True), (LIKE_MIXTRAL | {"mtp_depth": 0}, False)])
def test_every_entry_of_the_smallest_model(changes: dict[str, Any], masked: bool) -> None:
    model = tiny(recipe.Model(**(EVERYTHING | SMALLEST | changes)), seed=1)
    assert holds(model, *batch(1, masked), fast=False)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("changes", [{}, LIKE_MIXTRAL])
def test_every_entry_of_a_model_with_every_option(changes: dict[str, Any], masked: bool) -> None:
    model = tiny(recipe.Model(**(EVERYTHING | changes)), seed=1)
    assert holds(model, *batch(1, masked), fast=False)


@settings(deadline=None, max_examples=15)
@given(options(), st.booleans(), st.integers(0, 99))
def test_a_direction_of_a_model_with_any_options(config: recipe.Model, masked: bool, seed: int) -> None:
    assert holds(tiny(config, seed), *batch(seed, masked), fast=True)


@settings(deadline=None, max_examples=20)
@given(options(), st.integers(0, 99))
def test_every_parameter_has_a_gradient(config: recipe.Model, seed: int) -> None:
    model = tiny(config, seed)
    ids, _ = batch(seed, masked=False)
    model.losses(ids[:, :-1], ids[:, 1:]).total.backward()  # type: ignore[no-untyped-call]
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
