"""The fast mixture of experts equals the naive one, and its hand-written gradient is the true one."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre import recipe
from orfevre.model import moe
from orfevre.model.experts import run_experts


def layer(experts: int, chosen: int, *, hidden: int = 6, dtype: torch.dtype = torch.float64) -> moe.MixtureOfExperts:
    shape = recipe.Model(
        hidden_size=hidden, num_heads=1, num_kv_heads=1, ffn_size=5, num_experts=experts, experts_per_token=chosen
    )
    made = moe.MixtureOfExperts(shape).to(dtype)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return made


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 12), st.integers(0, 99))
def test_the_fast_path_equals_the_naive_one_and_so_do_its_gradients(
    experts: int, chosen: int, tokens: int, seed: int
) -> None:
    made = layer(experts, min(chosen, experts))
    results = []
    for path in (made.forward, made.forward_naive):
        x = torch.randn(tokens, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
        made.zero_grad()
        y, _ = path(x)
        (y * torch.arange(6)).sum().backward()
        results.append([y, x.grad, made.gate.weight.grad, made.w13.grad, made.w2.grad])
    for fast, naive in zip(*results, strict=True):
        torch.testing.assert_close(fast, naive)


def test_the_gradient_passes_gradcheck() -> None:
    made = layer(4, 2, hidden=4)
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    chosen = torch.tensor([[0, 1], [1, 0], [3, 1], [0, 3], [3, 0], [1, 3], [0, 1]])  # expert 2 gets nothing
    arguments = (x, made.w13, made.w2, weights)
    assert torch.autograd.gradcheck(lambda *inputs: run_experts(*inputs, chosen), arguments)


def test_weights_sum_to_one_and_every_token_is_counted() -> None:
    made = layer(5, 3)
    routing = made.route(torch.randn(40, 6, dtype=torch.float64))
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(40, dtype=torch.float64))
    assert int(routing.counts().sum()) == 40 * 3
    assert all(len(set(row)) == 3 for row in routing.chosen.tolist())


def test_one_expert_is_a_dense_feed_forward() -> None:
    made = layer(1, 1)
    x = torch.randn(8, 6, dtype=torch.float64)
    gate, up = (x @ made.w13[0].t()).chunk(2, dim=1)
    torch.testing.assert_close(made(x)[0], (torch.nn.functional.silu(gate) * up) @ made.w2[0].t())


def test_bfloat16_products_stay_near_float32() -> None:
    made = layer(4, 2, dtype=torch.float32)
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    exact, _ = made(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, _ = made(x)
    rounded.float().sum().backward()
    assert made.w13.grad is not None and made.w13.grad.dtype == torch.float32
    assert (rounded.float() - exact).abs().median() < 0.02 * exact.abs().median()
