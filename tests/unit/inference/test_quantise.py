"""int8 and int4 matrices: what is stored, what is lost, and the C products beside torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.errors import UserError
from orfevre.inference.memory import BLOCK_BYTES, Arena
from orfevre.inference.products import kernel_product
from orfevre.inference.quantise import Quantised, quantise, rounded
from orfevre.kernels import decode
from orfevre.kernels.pool import pool

needs_kernels = pytest.mark.skipif(not decode.levels(), reason="the C kernels are not built here")


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@given(
    rows=st.integers(1, 40), groups=st.integers(1, 3), group=st.sampled_from([32, 64, 128]),
    bits=st.sampled_from([4, 8]), seed=st.integers(0, 9), size=st.sampled_from([1e-6, 1.0, 1e4]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_error_is_bounded_by_the_step(rows: int, groups: int, group: int, bits: int, seed: int, size: float) -> None:
    w = size * matrix(rows, groups * group, seed)
    held = quantise(w, bits, group)
    error = (held.dequantise() - w).view(rows, groups, group)
    largest = w.view(rows, groups, group).abs().amax(dim=-1, keepdim=True)
    # int8: half a step of a range rounded up to bfloat16. int4: the other end of -8 .. 7 is cut off by up to a step
    assert (error.abs() <= largest * (0.51 / 127 if bits == 8 else 1.05 / 8 + 0.16)).all()
    assert error.square().mean().sqrt() <= largest.square().mean().sqrt() * (0.004 if bits == 8 else 0.06)
    assert held.num_bytes == -(-rows // 16) * 16 * groups * (2 + group * bits // 8)


@pytest.mark.parametrize(("bits", "least", "most"), [(8, -127, 127), (4, -8, 7)])
def test_what_can_be_said_exactly_is(bits: int, least: int, most: int) -> None:
    """Integers that reach the end of the range come back whole, zeros too, whatever the sign of the largest."""
    w = torch.randint(least, most + 1, (33, 64), generator=torch.Generator().manual_seed(0)).float()
    w[:, ::32] = float(least)
    w[5] *= -1
    w[6] = 0
    assert torch.equal(quantise(w, bits, 32).dequantise(), w)


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("bits", [8, 4])
def test_narrower_groups_lose_less(group: int, bits: int) -> None:
    w = matrix(64, 256)
    errors = [float((quantise(w, bits, each).dequantise() - w).square().mean()) for each in (group, 256 // 2)]
    assert errors[0] <= errors[1]


def test_a_group_that_does_not_divide_is_named() -> None:
    with pytest.raises(UserError, match=r"blocks\.0\.out of 96 columns cannot be held in groups of 64"):
        quantise(matrix(4, 96), 8, 64, name="blocks.0.out")
    with pytest.raises(UserError, match="groups of 16"):
        quantise(matrix(4, 96), 8, 16)


@given(columns=st.sampled_from([64, 128, 384]), num=st.integers(1, 19), seed=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_rounding_of_activations_keeps_a_step(columns: int, num: int, seed: int) -> None:
    x = matrix(num, columns, seed)
    steps = x.view(num, -1, 32).abs().amax(-1) / 127
    assert ((rounded(x, 32) - x).abs().view(num, -1, 32) <= 0.5001 * steps[..., None]).all()
    assert not rounded(torch.zeros(1, 64), 32).any()


FORMATS = ("float32", "bfloat16", "int8", "int4")


@needs_kernels
@pytest.mark.parametrize("level", decode.levels())
@pytest.mark.parametrize("kind", FORMATS)
@given(
    rows=st.integers(1, 150), blocks=st.integers(1, 4), odd=st.integers(0, 31), num=st.integers(1, 19),
    group=st.sampled_from([32, 64, 128]), seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_kernels_multiply_as_torch_does(
    level: str, kind: str, *, rows: int, blocks: int, odd: int, num: int, group: int, seed: int
) -> None:
    """Every format at every level, also where rows fill no block and columns no register."""
    columns = 128 * blocks + (odd if kind in ("float32", "bfloat16") else 0)
    w, x = matrix(rows, columns, seed), matrix(num, columns, seed + 1)
    held: torch.Tensor | Quantised
    if kind in ("int8", "int4"):
        held = quantise(w, 8 if kind == "int8" else 4, group)
        wanted = held.product(x)
    else:
        held = w.to(getattr(torch, kind))
        wanted = x.to(held.dtype).double().mm(held.double().t()).float()
    made = kernel_product(x, held, pool(2), decode.LEVELS.index(level))
    # a value exactly between two int8 steps may go either way, by the last bit of its division
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=2e-2 if isinstance(held, Quantised) else 2e-4)
    assert (made - wanted).abs().median() < 1e-4


@needs_kernels
@pytest.mark.parametrize("kind", FORMATS)
def test_the_number_of_threads_changes_no_bit(kind: str) -> None:
    w, x = matrix(300, 256), matrix(5, 256, 1)
    held = quantise(w, 8 if kind == "int8" else 4, 32) if kind.startswith("int") else w.to(getattr(torch, kind))
    made = [kernel_product(x, held, pool(threads), len(decode.levels()) - 1) for threads in (1, 2, 3)]
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])


def test_an_arena_hands_out_separate_aligned_rooms() -> None:
    arena = Arena()
    rooms = [arena.keep(torch.full((size,), float(size)), torch.float32) for size in (3, 1000, BLOCK_BYTES // 8, 7)]
    large = arena.empty((BLOCK_BYTES + 1,), torch.uint8)
    assert all((room == len(room)).all() and room.data_ptr() % 64 == 0 for room in rooms)
    assert len(large) == BLOCK_BYTES + 1
