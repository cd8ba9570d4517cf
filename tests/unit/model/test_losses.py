"""Chunked cross entropy equals the plain one, to gradcheck's precision; the router's losses have their known values."""

import math
from typing import Any

import pytest
import torch

from orfevre.model import losses
from orfevre.model.moe import Routing


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK_ELEMENTS", 1)  # 16 rows a chunk, the least


def case(dtype: torch.dtype = torch.float64, tokens: int = 37) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(tokens, 5, dtype=dtype, generator=generator, requires_grad=True)
    output = torch.randn(11, 5, dtype=dtype, generator=generator, requires_grad=True)
    return x, output, torch.randint(11, (tokens,), generator=generator)


def test_cross_entropy_equals_the_plain_one_with_gradients() -> None:
    results = []
    for function in (losses.cross_entropy, lambda x, w, t: torch.nn.functional.cross_entropy(x @ w.t(), t)):
        x, output, targets = case()
        loss = function(x, output, targets)
        (3 * loss).backward()
        results.append((loss, x.grad, output.grad))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain)


def test_cross_entropy_passes_gradcheck() -> None:
    x, output, targets = case(tokens=20)
    assert torch.autograd.gradcheck(lambda x, w: losses.cross_entropy(x, w, targets), (x, output))


def test_cross_entropy_is_exact_where_probabilities_underflow() -> None:
    x = torch.tensor([[400.0]], requires_grad=True)
    output = torch.tensor([[1.0], [-1.0]])
    assert losses.cross_entropy(x, output, torch.tensor([1])).item() == pytest.approx(800.0)


def test_token_losses_average_to_the_cross_entropy() -> None:
    x, output, targets = case(torch.float32)
    per_token = losses.token_losses(x, output, targets)
    assert per_token.shape == (37,)
    torch.testing.assert_close(per_token.mean(), losses.cross_entropy(x, output, targets))


def routing(logits: torch.Tensor, chosen: Any) -> Routing:
    chosen = torch.tensor(chosen)
    return Routing(logits, logits.softmax(-1), torch.ones(chosen.shape) / chosen.shape[1], chosen)


def test_an_even_load_costs_k_and_a_collapsed_one_more() -> None:
    even = routing(torch.zeros(4, 4), [[0, 1], [2, 3], [0, 1], [2, 3]])
    assert losses.load_balancing([even]).item() == pytest.approx(2.0)
    collapsed = routing(torch.tensor([[50.0, 49.0, 0.0, 0.0]] * 4), [[0, 1]] * 4)
    assert losses.load_balancing([collapsed]).item() == pytest.approx(4.0)


def test_z_loss_is_the_mean_square_of_logsumexp() -> None:
    layer = routing(torch.full((3, 4), 2.0), [[0]] * 3)
    assert losses.router_z([layer, layer]).item() == pytest.approx((2 + math.log(4)) ** 2)
