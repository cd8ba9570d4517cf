"""NativeDecoder beside the model itself: every option, level and precision; threads; refusals."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre import recipe
from orfevre.errors import InputError, UserError
from orfevre.inference import native
from orfevre.inference.held import Precision, hold
from orfevre.inference.native import NativeDecoder
from orfevre.kernels import decode
from orfevre.model.transformer import Transformer, initialise

VOCABULARY = 99
OPTIONS: dict[str, dict[str, Any]] = {
    "mixtral": {},
    "dense, tied": {"num_experts": 1, "experts_per_token": 1, "tie_embeddings": True},
    "QK-norm, window": {"qk_norm": True, "sliding_window": 5},
    "shared, sigmoid, bias": {"shared_experts": 2, "router": "sigmoid", "balancing": "bias"},
    "fine-grained, bias, wide heads": {
        "num_experts": 16, "experts_per_token": 5, "ffn_size": 64, "balancing": "bias", "head_size": 80,
    },
    "look-ahead": {"mtp_depth": 1},
}  # fmt: skip
KERNELS = ("torch", *decode.levels())
needs_kernels = pytest.mark.skipif(not decode.levels(), reason="the C kernels are not built here")


def model(**options: Any) -> Transformer:
    shape = {
        "hidden_size": 128, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "ffn_size": 192, "num_experts": 4,
        "context_length": 48,
    }  # fmt: skip
    made = Transformer(recipe.Model(**(shape | options)), VOCABULARY).eval()
    generator = torch.Generator().manual_seed(3)
    initialise(made, generator)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if name.endswith("norm.weight"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            if name.endswith("balance_bias"):
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    return made.requires_grad_(False)


def texts(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def follow(decoder: NativeDecoder, ids: list[list[int]], prompt: int) -> list[torch.Tensor]:
    """Logits of each text after its prompt, as its tokens come, all texts that are not at their end in one step."""
    slots = [2, 0, 3][: len(ids)]
    rows = [[decoder.prefill(slot, text[:prompt])] for slot, text in zip(slots, ids, strict=True)]
    for place in range(prompt, max(map(len, ids))):
        going = [index for index, text in enumerate(ids) if place < len(text)]
        made = decoder.step([slots[index] for index in going], [ids[index][place] for index in going])
        for index, row in zip(going, made, strict=True):
            rows[index].append(row)
    return [torch.stack(each) for each in rows]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_float32_equals_the_model(options: dict[str, Any], kernels: str) -> None:
    """Three texts of different lengths, decoded together, beside a pass over each whole text."""
    made, ids = model(**options), texts(17, 9, 13)
    decoder = NativeDecoder(hold(made, "float32"), 4, num_threads=2, kernels=kernels)
    for text, rows in zip(ids, follow(decoder, ids, prompt=4), strict=True):
        torch.testing.assert_close(rows, made(torch.tensor([text]))[0, 3:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_bfloat16_is_near_the_model(options: dict[str, Any], kernels: str) -> None:
    """All experts are chosen, so no rounding sends a token elsewhere; logits have a deviation of 0.2."""
    experts = options.get("num_experts", 4)
    free = {key: value for key, value in options.items() if key != "balancing"} | {"experts_per_token": experts}
    made, ids = model(**free), texts(17, 9, 13)
    decoder = NativeDecoder(hold(made, "bfloat16"), 4, num_threads=2, kernels=kernels)
    for text, rows in zip(ids, follow(decoder, ids, prompt=4), strict=True):
        torch.testing.assert_close(rows, made(torch.tensor([text]))[0, 3:], rtol=0, atol=2e-2)


@needs_kernels
@pytest.mark.parametrize("kernels", decode.levels())
@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int4"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_kernels_equal_torch_with_routing_frozen(options: dict[str, Any], precision: Precision, kernels: str) -> None:
    """The same weights and the same experts: what differs is the order of sums and, rarely, how a value rounds."""
    held = hold(model(**options), precision, 32)
    config = held.config
    decoders = [NativeDecoder(held, 3, num_threads=2, kernels=each) for each in (kernels, "torch")]
    choices = torch.Generator().manual_seed(1)
    for place, row in enumerate(torch.tensor(texts(30)).view(10, 3).tolist()):
        slots = [0, 2, 1][: 1 + place % 3]
        shape = (config.num_layers, len(slots), config.num_experts)
        experts = torch.rand(shape, generator=choices).argsort(-1)[..., : config.experts_per_token]
        ours, torchs = (each.step(slots, row[: len(slots)], experts) for each in decoders)
        # logits have a deviation of 0.2; torch's attention rounds queries and probabilities to bfloat16, ours does not
        torch.testing.assert_close(ours, torchs, rtol=0, atol=5e-2)
        assert (ours - torchs).abs().mean() < 8e-3


@needs_kernels
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "int4"])
def test_threads_and_company_change_no_bit(precision: Precision) -> None:
    """The same logits with one, two or three threads, and for a text alone or among others."""
    held, ids = hold(model(), precision), texts(12, 12, 12)
    alone = follow(NativeDecoder(held, 4, num_threads=1), ids[:1], prompt=3)[0]
    for threads in (1, 2, 3):
        made = follow(NativeDecoder(held, 4, num_threads=threads), ids, prompt=3)[0]
        if (
            precision == "bfloat16"
        ):  # rows are taken by fours or threes, as the number of vectors allows: sums are equal
            torch.testing.assert_close(made, alone, rtol=0, atol=0)
        assert torch.equal(made, alone)


@needs_kernels
@given(cut=st.integers(1, 39), precision=st.sampled_from(["bfloat16", "int8", "int4"]))
@settings(max_examples=12, deadline=None)
def test_a_prompt_may_come_in_pieces(cut: int, precision: Precision) -> None:
    held, (text,) = hold(model(sliding_window=7), precision), texts(40)
    decoder = NativeDecoder(held, 2, num_threads=2)
    whole = decoder.prefill(0, text)
    decoder.prefill(1, text[:cut])
    assert torch.equal(decoder.prefill(1, text[cut:]), whole)


@pytest.mark.parametrize("kernels", KERNELS[:1] + KERNELS[-1:])
def test_slots_are_cut_and_copied(kernels: str) -> None:
    """What was forgotten leaves no trace, and a copied prefix is as good as one computed."""
    held, (text, other) = hold(model(), "float32"), texts(20, 9)
    decoder = NativeDecoder(held, 3, num_threads=2, kernels=kernels)
    wanted = decoder.prefill(0, text)
    decoder.prefill(1, [*text[:8], *other])
    decoder.truncate(1, 8)
    torch.testing.assert_close(decoder.prefill(1, text[8:]), wanted)
    decoder.copy(0, 2, 15)
    assert [decoder.length(slot) for slot in range(3)] == [20, 20, 15]
    torch.testing.assert_close(decoder.prefill(2, text[15:]), wanted)
    with pytest.raises(ValueError, match="holds 20 positions, not 21"):
        decoder.truncate(0, 21)
    with pytest.raises(ValueError, match="holds 20 positions, not 21"):
        decoder.copy(0, 1, 21)


def test_refusals() -> None:
    held = hold(model(), "bfloat16")
    with pytest.raises(UserError, match="context of 49 is longer"):
        NativeDecoder(held, 1, 49)
    with pytest.raises(UserError, match=r"'avx1024': this machine has .*torch"):
        NativeDecoder(held, 1, kernels="avx1024")
    decoder = NativeDecoder(held, 2, 8)
    with pytest.raises(UserError, match="empty"):
        decoder.prefill(0, [])
    with pytest.raises(UserError, match=f"{VOCABULARY}"):
        decoder.prefill(0, [VOCABULARY])
    with pytest.raises(UserError, match="9 tokens are more"):
        decoder.prefill(0, [1] * 9)
    decoder.prefill(0, [1] * 8)
    with pytest.raises(UserError, match="9 tokens are more"):
        decoder.step([0], [1])
    with pytest.raises(UserError, match="-1"):
        decoder.step([1], [-1])
    with pytest.raises(ValueError, match="different"):
        decoder.step([1, 1], [1, 2])


def test_a_weight_that_is_not_finite_is_named() -> None:
    made = model()
    made.state_dict()["blocks.1.moe.w2"][3, 5, 7] = float("nan")
    with pytest.raises(InputError, match=r"blocks\.1\.moe\.w2 of expert 3"):
        hold(made, "int8")


def test_without_kernels_torch_decodes_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decode, "library", lambda: None)
    native._say_missing.cache_clear()
    said: list[str] = []
    monkeypatch.setattr(native.console, "warn", said.append)
    held, (text,) = hold(model(), "int8"), texts(6)
    for _ in range(2):
        logits = NativeDecoder(held, 1).prefill(0, text)
    assert len(said) == 1 and "C kernels are not built" in said[0]
    wanted = model()(torch.tensor([text]))[0, -1]
    torch.testing.assert_close(logits, wanted, rtol=0, atol=0.1)


def test_bytes_are_counted() -> None:
    made = model()
    every = sum(each.numel() for each in made.parameters())
    norms = sum(each.numel() for each in made.parameters() if each.ndim == 1)
    held = hold(made, "float32")
    assert held.num_bytes == 4 * (every - norms)
    embedding = held.embedding.nbytes
    assert held.bytes_per_step(4) == held.num_bytes - embedding
    assert held.bytes_per_step(2) == held.bytes_per_step(4) - 2 * 2 * 4 * 3 * 128 * 192
    assert hold(made, "int4").num_bytes < 0.2 * held.num_bytes
