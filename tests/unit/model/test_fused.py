"""The C kernels of training equal their plain torch twins, and every hand-written gradient is the true one."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.kernels import train as kernels
from orfevre.model import fused
from orfevre.model.attend import _Attend, _supported, visible

pytestmark = pytest.mark.skipif(kernels.library() is None, reason="the C kernels are not built here")
DTYPES = [torch.float32, torch.bfloat16]
WIDTHS = st.sampled_from([1, 7, 16, 33, 64, 100])


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def near(found: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype) -> None:
    """As near to what float64 gives as one rounding of the dtype allows, relative to the largest."""
    bound = {torch.float32: 3e-6, torch.bfloat16: 8e-3}[dtype] * float(exact.detach().abs().max()) + 1e-7
    assert (found.double() - exact.double()).abs().max() <= bound


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=15)
@given(rows=st.integers(1, 70), width=WIDTHS)
def test_swiglu_and_its_gradients_equal_float64(dtype: torch.dtype, rows: int, width: int) -> None:
    gate_up, weight = noise(rows, 2 * width, dtype=dtype), noise(rows, seed=1).abs()
    grad = noise(rows, width, dtype=dtype, seed=2)
    near(fused.swiglu(gate_up, weight), fused.swiglu_plain(gate_up.double(), weight.double()), dtype)
    exact = fused.swiglu_backward_plain(gate_up.double(), weight.double(), grad.double())
    for found, wanted in zip(fused.swiglu_backward(gate_up, weight, grad.clone()), exact, strict=True):
        near(found, wanted, dtype)


def test_the_twin_of_swiglu_has_the_true_gradient() -> None:
    gate_up, weight = noise(5, 6).double().requires_grad_(), noise(5, seed=1).double().requires_grad_()
    h = fused.swiglu_plain(gate_up, weight)
    grad = noise(5, 3, seed=2).double()
    wanted = torch.autograd.grad(h, (gate_up, weight), grad)
    again, *found = fused.swiglu_backward_plain(gate_up, weight, grad)
    torch.testing.assert_close(again, h)
    torch.testing.assert_close(tuple(found), wanted)


@pytest.mark.parametrize("value", [0.0, -0.0, 88.0, -90.0, 1e4, -1e4, float("inf"), float("nan")])
def test_swiglu_at_the_ends_of_float32(value: float) -> None:
    gate_up = torch.tensor([[value, 1.0]])
    found, wanted = (f(gate_up, torch.ones(1)) for f in (fused.swiglu, fused.swiglu_plain))
    torch.testing.assert_close(found, wanted, equal_nan=True)


def gradients(
    function: Callable[..., torch.Tensor], inputs: list[torch.Tensor], grad: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    leaves = [each.detach().clone().requires_grad_() for each in inputs]
    out = function(*leaves)
    return out, *torch.autograd.grad(out, leaves, grad.to(out.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=15)
@given(rows=st.integers(1, 140), width=WIDTHS.filter(lambda width: width > 1))  # of one column no gradient is left
def test_rms_norm_and_its_gradients_equal_float64(dtype: torch.dtype, rows: int, width: int) -> None:
    x, weight, grad = noise(rows, width, dtype=dtype), noise(width, seed=1), noise(rows, width, dtype=dtype, seed=2)
    found = gradients(lambda x, w: fused.rms_norm(x, w, 1e-5), [x, weight], grad)
    exact = gradients(lambda x, w: fused.rms_norm_plain(x, w, 1e-5), [x.double(), weight.double()], grad)
    for one, other in zip(found, exact, strict=True):
        near(one, other, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [2, 10, 32, 48])
@pytest.mark.parametrize("turned", [0, 2, 5])
def test_rotation_and_its_gradient_equal_the_plain_ones(dtype: torch.dtype, width: int, turned: int) -> None:
    x, grad = (noise(2, 6, 5, width, dtype=dtype, seed=seed) for seed in (0, 1))
    angles = noise(6, width // 2, seed=2).repeat(1, 2)
    found = gradients(lambda x: fused.rotate(x, angles.cos(), angles.sin(), turned), [x], grad)
    exact = gradients(lambda x: fused.rotate_plain(x, angles.cos(), angles.sin(), turned), [x.double()], grad)
    for one, other in zip(found, exact, strict=True):
        near(one, other, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=15)
@given(rows=st.integers(1, 20), vocab=st.sampled_from([1, 5, 16, 37, 300]))
def test_cross_entropy_and_its_slope_equal_float64(dtype: torch.dtype, rows: int, vocab: int) -> None:
    logits = (5 * noise(rows, vocab)).to(dtype)
    targets = torch.arange(rows) * 7 % vocab
    exact = fused.entropy_slope_plain(logits.double(), targets, 0.5)
    for found, wanted in zip(fused.entropy_slope(logits.clone(), targets, 0.5), exact, strict=True):
        near(found, wanted, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_gathered_and_summed(dtype: torch.dtype) -> None:
    rows, places = noise(24, 19, dtype=dtype), torch.randperm(24, generator=torch.Generator().manual_seed(0)).view(8, 3)
    near(fused.gather_sum(rows, places), rows.double()[places].sum(1), dtype)


def plain_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: torch.Tensor | None, window: int
) -> torch.Tensor:
    """Every score, in so many words."""
    k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for each in (k, v))
    seen = visible(q.shape[2], 0, segments=segments, window=window or None)
    scores = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).masked_fill(~seen, float("-inf"))
    return scores.softmax(-1) @ v


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=25)
@given(
    length=st.sampled_from([1, 2, 15, 31, 64, 65, 130]),
    width=st.sampled_from([2, 8, 16, 20, 32, 40, 64, 72]),
    heads=st.sampled_from([(1, 1), (2, 1), (4, 2), (3, 3)]),
    window=st.sampled_from([0, 1, 5, 33, 64, 100]),
    documents=st.sampled_from([0, 3]),
)
def test_attention_and_its_gradients_equal_float64(
    dtype: torch.dtype, length: int, width: int, heads: tuple[int, int], window: int, documents: int
) -> None:
    num_heads, num_kv = heads
    both = noise(2, length, num_heads + 2 * num_kv, width, dtype=dtype)
    q, k, v = (each.transpose(1, 2) for each in both.split([num_heads, num_kv, num_kv], dim=2))
    if not _supported(q, k, v):
        pytest.skip(f"this machine has no attention kernel for {dtype}")
    generator = torch.Generator().manual_seed(1)
    segments = torch.randint(documents, (2, length), generator=generator).sort(1).values if documents else None
    grad = noise(2, num_heads, length, width, dtype=dtype, seed=3)
    found = gradients(lambda *each: _Attend.apply(*each, segments, window), [q, k, v], grad)
    wide = [each.double() for each in (q, k, v)]
    exact = gradients(lambda *each: plain_attention(*each, segments, window), wide, grad)
    for one, other in zip(found, exact, strict=True):
        bound = {torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype] * (1 + float(other.abs().max()))
        assert (one.double() - other).abs().max() <= bound


def test_threads_change_no_bit() -> None:
    x, weight, grad = noise(500, 64), noise(64, seed=1), noise(500, 64, seed=2)
    both = noise(3, 100, 6, 16).requires_grad_()
    q, k, v = (each.transpose(1, 2) for each in both.split([2, 2, 2], dim=2))
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found = [*gradients(lambda x, w: fused.rms_norm(x, w, 1e-5), [x, weight], grad)]
            if _supported(q, k, v):
                found += gradients(lambda *each: _Attend.apply(*each, None, 0), [q, k, v], noise(3, 2, 100, 16, seed=4))
            results.append(found)
    finally:
        torch.set_num_threads(1)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
