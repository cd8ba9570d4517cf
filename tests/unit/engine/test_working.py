"""bfloat16 training: float32 masters, a working copy that follows them, and AdamW equal to torch's."""

import copy

import numpy as np
import numpy.typing as npt
import pytest
import torch

from orfevre import recipe
from orfevre.engine import allocator, loop, optim
from orfevre.engine.build import build
from orfevre.engine.working import working
from orfevre.model.transformer import Transformer

SHAPE = recipe.Model(hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=1, ffn_size=48, num_experts=4)


class Counting:
    """Counting modulo the vocabulary: something that can be learnt."""

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        return (np.random.default_rng(step).integers(40, size=(4, 1)) + np.arange(17)) % 40


def new_model(**changes: object) -> Transformer:
    return build(SHAPE.model_copy(update=changes), 40, seed=1)


def training(dtype: str, steps: int = 60) -> recipe.Train:
    return recipe.Train(
        tokens=steps * 64,
        batch_sequences=4,
        sequence_length=16,
        optim=recipe.Optim(learning_rate=0.01),
        dtype=dtype,  # type: ignore[arg-type]
        document_mask=False,
    )


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("clip", [1.0, 0.01])
def test_adamw_equals_torchs_with_clipping(monkeypatch: pytest.MonkeyPatch, kernel: bool, clip: float) -> None:
    if not kernel:
        monkeypatch.setattr(optim.kernels, "library", lambda: None)
    rules = recipe.Optim(learning_rate=0.01)
    ours, theirs = new_model(), new_model()
    stepped, groups = optim.adamw(ours, rules), optim.adamw(theirs, rules).param_groups
    torchs = torch.optim.AdamW(
        [{"params": each["params"], "weight_decay": each["weight_decay"]} for each in groups],
        lr=0.01, betas=(rules.beta1, rules.beta2), eps=rules.eps,
    )  # fmt: skip
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        found = stepped.gradient_norm()
        assert found == pytest.approx(float(norm), rel=1e-5)
        stepped.step(scale=min(1.0, clip / (found + 1e-6)))
        torchs.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
        assert one.grad is None


@pytest.mark.parametrize("tied", [False, True])
def test_the_copy_rounds_matrices_and_shares_what_must_be_exact(tied: bool) -> None:
    master = new_model(tie_embeddings=tied)
    found = working(master, torch.bfloat16)
    names = {id(parameter): name for name, parameter in master.named_parameters()}
    shared = {names[id(one)] for one, other in found.pairs if one is other}
    assert {name for name in names.values() if "norm" in name or name.endswith("gate.weight")} <= shared
    assert ("embedding.weight" in shared) == (not tied)
    for one, other in found.pairs:
        if one is not other:
            assert other.dtype == torch.bfloat16 and torch.equal(other, one.to(torch.bfloat16))
    assert [id(other) for _, other in found.pairs] == [id(each) for each in found.model.parameters()]
    assert working(master, torch.float32).model is master


def test_the_copy_follows_the_masters_and_they_stay_float32() -> None:
    master = new_model()
    before = copy.deepcopy(master)
    found = working(master, torch.bfloat16)
    stepped = optim.adamw(master, recipe.Optim(learning_rate=0.01), found.pairs)
    batch = torch.from_numpy(Counting().batch(0))
    found.model.losses(batch[:, :-1], batch[:, 1:]).total.backward()
    stepped.step()
    for (one, other), old in zip(found.pairs, before.parameters(), strict=True):
        assert one.dtype == torch.float32 and not torch.equal(one, old)
        assert torch.equal(other, one.to(other.dtype))


@pytest.mark.parametrize(
    "changes", [{}, {"tie_embeddings": True}, {"mtp_depth": 1}, {"balancing": "bias", "shared_experts": 1}]
)
def test_bfloat16_learns_as_float32_does(changes: dict[str, object]) -> None:
    losses = {}
    for dtype in ("float32", "bfloat16"):
        model = new_model(**changes)
        result = loop.train(model, Counting(), training(dtype))
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        losses[dtype] = result.final_loss
    assert losses["float32"] < 1.5  # from log(40) = 3.7
    assert losses["bfloat16"] == pytest.approx(losses["float32"], abs=0.15)


def test_bfloat16_training_gives_the_same_bits_again() -> None:
    first, second = new_model(), new_model()
    for model in (first, second):
        loop.train(model, Counting(), training("bfloat16", steps=5))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_allocator_is_set_once_and_memory_can_be_handed_back() -> None:
    assert allocator.keep_memory() == allocator.keep_memory()
    allocator.hand_back()
