"""Decoding in slots equals recomputing each sequence whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre import recipe
from orfevre.engine import build
from orfevre.errors import UserError
from orfevre.inference import decoder
from orfevre.inference.decoder import TorchDecoder
from orfevre.model.transformer import Transformer

SHAPE = recipe.Model(
    hidden_size=16, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=12, num_experts=4, context_length=24
)


def model(**options: object) -> Transformer:
    return build.build(SHAPE.model_copy(update=options), 31, seed=1)


def recomputed(of: Transformer, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return of(torch.tensor([ids]))[0, -1]


@settings(deadline=None, max_examples=25)
@given(
    prompts=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=12), min_size=1, max_size=4),
    new=st.lists(st.lists(st.integers(0, 30), min_size=4, max_size=4), min_size=1, max_size=6),
    window=st.sampled_from([0, 5]),
)
def test_steps_equal_recomputation(prompts: list[list[int]], new: list[list[int]], window: int) -> None:
    made = model(sliding_window=window, qk_norm=bool(window))
    slots = TorchDecoder(made, num_slots=len(prompts))
    for slot, ids in enumerate(prompts):
        torch.testing.assert_close(slots.prefill(slot, ids), recomputed(made, ids), rtol=1e-4, atol=1e-5)
    for turn, tokens in enumerate(new):
        order = [slot for slot in reversed(range(len(prompts))) if (slot + turn) % 3]  # some sit a turn out
        if not order:
            continue
        logits = slots.step(order, [tokens[slot] for slot in order])
        for row, slot in zip(logits, order, strict=True):
            prompts[slot] = [*prompts[slot], tokens[slot]]
            torch.testing.assert_close(row, recomputed(made, prompts[slot]), rtol=1e-4, atol=1e-5)
            assert slots.length(slot) == len(prompts[slot])


def test_a_prompt_in_pieces_is_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    made, ids = model(), list(range(20))
    monkeypatch.setattr(decoder, "PREFILL_TOKENS", 6)
    torch.testing.assert_close(TorchDecoder(made).prefill(0, ids), recomputed(made, ids), rtol=1e-4, atol=1e-5)


def test_a_prefix_is_copied_and_truncated() -> None:
    made = model()
    slots = TorchDecoder(made, num_slots=2)
    slots.prefill(0, [1, 2, 3, 4, 5])
    slots.copy(0, 1, 3)
    torch.testing.assert_close(slots.prefill(1, [9]), recomputed(made, [1, 2, 3, 9]), rtol=1e-4, atol=1e-5)
    slots.truncate(0, 2)
    torch.testing.assert_close(slots.prefill(0, [7]), recomputed(made, [1, 2, 7]), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="holds 3 positions"):
        slots.truncate(0, 9)


@pytest.mark.parametrize("ids", [[], [31], [-1], [0] * 25], ids=["empty", "too large", "negative", "too long"])
def test_bad_prompts_are_refused(ids: list[int]) -> None:
    with pytest.raises(UserError):
        TorchDecoder(model()).prefill(0, ids)
