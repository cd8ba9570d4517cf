"""Documents that share a sequence do not see each other, padding is in no loss and no count, a window is a window."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.reference import GROUPED, VOCAB, made, options

from orfevre.engine.build import build
from orfevre.engine.documents import split_documents
from orfevre.errors import UserError
from orfevre.model.attend import attend, visible
from orfevre.model.attention import KeyValueCache
from orfevre.model.transformer import IGNORED

OPTIONS: list[dict[str, Any]] = [
    {},
    {"sliding_window": 5},
    {"qk_norm": True, "shared_experts": 1, "router": "sigmoid", "balancing": "bias", "mtp_depth": 2},
]
SEGMENTS = torch.tensor([[-1] * 2 + [0] * 7 + [1] * 6 + [2] * 1 + [3] * 4])


@pytest.mark.parametrize("changes", OPTIONS)
@pytest.mark.parametrize("document", [-1, 0, 1, 2, 3])
def test_a_change_in_one_document_reaches_no_other(
    changes: dict[str, Any], document: int, device: torch.device
) -> None:
    model, ids = made(device, **GROUPED, **changes)
    model.double()  # an expert's product over other rows may round otherwise, so the last bits are not held
    segments = SEGMENTS.to(device)
    inside = (segments == document)[0]
    changed = ids[:1].clone()
    changed[:, inside] = (changed[:, inside] + 1) % VOCAB
    with torch.no_grad():
        before, after = (model(x, segments_BC=segments)[0] for x in (ids[:1], changed))
    assert not torch.isnan(before).any()
    torch.testing.assert_close(before[~inside], after[~inside], atol=1e-12, rtol=1e-12)
    assert (before[inside] - after[inside]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("changes", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_gradient_crosses_from_one_document_to_another(
    changes: dict[str, Any], dtype: torch.dtype, device: torch.device
) -> None:
    """The path that training takes: what one document's logits ask of the other documents' tokens is exactly 0."""
    model, _ = made(device, **GROUPED, **changes)
    model.to(dtype)
    ids, segments = torch.arange(20, device=device)[None], SEGMENTS.to(device)
    for document in range(4):
        model.zero_grad()
        inside = (segments == document)[0]
        model(ids, segments_BC=segments)[0, inside].float().square().sum().backward()  # type: ignore[no-untyped-call]
        asked = model.embedding.weight.grad.abs().amax(1)[:20]  # type: ignore[union-attr]
        assert (asked[~inside] == 0).all()
        assert (asked[inside] > 0).all()


@pytest.mark.parametrize("changes", OPTIONS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_gives_the_logits_of_no_padding(
    changes: dict[str, Any], side: str, device: torch.device
) -> None:
    model, ids = made(device, **GROUPED, **changes)
    for pads in (1, 7, 19):
        real = slice(pads, None) if side == "left" else slice(0, 20 - pads)
        segments = torch.full_like(ids, -1)
        segments[:, real] = 0
        with torch.no_grad():
            torch.testing.assert_close(
                model(ids, segments_BC=segments)[:, real], model(ids[:, real]), atol=1e-5, rtol=1e-4
            )


def test_left_padding_with_a_cache_equals_no_padding(device: torch.device) -> None:
    model, ids = made(device, **GROUPED)
    segments = torch.full_like(ids, -1)
    segments[:, 6:] = 0
    caches = [KeyValueCache(20) for _ in model.blocks]
    with torch.no_grad():
        pieces = [model(ids[:, a:b], caches, segments[:, :b]) for a, b in ((0, 9), (9, 10), (10, 20))]
        torch.testing.assert_close(torch.cat(pieces, 1)[:, 6:], model(ids[:, 6:]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", OPTIONS)
def test_losses_of_packed_documents_are_those_of_each_alone(changes: dict[str, Any], device: torch.device) -> None:
    """Weighted by targets: cross entropies. By tokens: the router's statistics. Padding has no part in either."""
    model, _ = made(device, **GROUPED, **changes, aux_loss_weight=0.0, z_loss_weight=0.0)
    generator = torch.Generator().manual_seed(1)
    documents = [torch.randint(VOCAB, (1, length), generator=generator).to(device) for length in (9, 5, 12)]
    alone = [model.losses(ids[:, :-1], ids[:, 1:], torch.zeros_like(ids[:, 1:])) for ids in documents]
    pad = torch.zeros(1, 3, dtype=torch.int64, device=device)
    row = torch.cat([pad, *documents, pad], dim=1)
    segments = torch.cat(
        [torch.full_like(x, n) for x, n in zip([pad, *documents, pad], [-1, 0, 1, 2, -1], strict=True)], 1
    )
    packed = model.losses(row, row.roll(-1, 1), segments)

    def mean(values: list[torch.Tensor], lost: int) -> torch.Tensor:
        weights = torch.tensor([ids.shape[1] - lost for ids in documents], device=device)
        return (torch.stack(values) * weights).sum() / weights.sum()

    torch.testing.assert_close(packed.cross_entropy, mean([each.cross_entropy for each in alone], 1))
    if model.config.mtp_depth:  # the mean of depths, each a mean over its own targets: one document says it all
        ids = documents[2]
        padded = torch.cat([pad, ids, pad], dim=1)
        inside = torch.cat([pad - 1, torch.zeros_like(ids), pad - 1], dim=1)
        torch.testing.assert_close(model.losses(padded, padded.roll(-1, 1), inside).mtp, alone[2].mtp)
    with torch.no_grad():
        one_by_one = torch.stack(
            [torch.stack([routing.counts() for routing in model.hidden(ids)[1]]) for ids in documents]
        )
    assert torch.equal(packed.expert_counts[: model.config.num_layers], one_by_one.sum(0))


@pytest.mark.parametrize("changes", OPTIONS)
def test_what_padding_holds_changes_no_loss_and_no_gradient(changes: dict[str, Any], device: torch.device) -> None:
    model, ids = made(device, **GROUPED, **changes, aux_loss_weight=0.3, z_loss_weight=0.1)
    segments = SEGMENTS.to(device).expand(3, -1).clone()
    segments[1, 12:] = -1
    results = []
    for filler in (3, 50):
        model.zero_grad()
        tokens = ids.where(segments >= 0, filler)
        targets = tokens.roll(-1, 1)
        targets[:, -1] = 7
        made_losses = model.losses(tokens, targets, segments)
        made_losses.total.backward()
        grads = [parameter.grad.clone() for name, parameter in model.named_parameters() if name != "embedding.weight"]
        results.append([*vars(made_losses).values(), *grads])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-5)


def test_token_losses_are_the_parts_of_the_loss(device: torch.device) -> None:
    model, ids = made(device, **GROUPED)
    segments = SEGMENTS.to(device).expand(3, -1)
    targets = ids.roll(-1, 1)
    targets[:, -1] = IGNORED
    nats, _ = model.token_losses(ids, targets, segments)
    expected = segments.new_tensor([0] * 2 + [1] * 6 + [0] + [1] * 5 + [0] * 2 + [1] * 3 + [0]).bool().expand(3, -1)
    assert torch.equal(nats > 0, expected)
    torch.testing.assert_close(nats.sum() / expected.sum(), model.losses(ids, targets, segments).cross_entropy)


@settings(deadline=None, max_examples=30)
@given(options(), st.integers(0, 99))
def test_one_segment_is_no_segment_whatever_the_options(config: Any, seed: int) -> None:
    model = build(config, 11, seed).double()
    ids = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(seed))
    plain = model.losses(ids[:, :-1], ids[:, 1:])
    told = model.losses(ids[:, :-1], ids[:, 1:], torch.full((2, 8), 4))
    for name, value in vars(plain).items():
        torch.testing.assert_close(value, getattr(told, name), msg=lambda text, name=name: f"{name}: {text}")


@given(
    st.integers(1, 7),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(1, 9)),
    st.lists(st.integers(-1, 2), max_size=12),
)
def test_visible_is_what_it_says(length: int, past: int, window: int | None, documents: list[int]) -> None:
    documents = (documents + [0] * 12)[: past + length]
    mask = visible(length, past, segments=torch.tensor([documents]), window=window)[0, 0]
    for i in range(length):
        for key in range(past + length):
            near = key <= past + i and (window is None or past + i - key < window)
            assert bool(mask[i, key]) == (near and documents[key] == documents[past + i])


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 9), st.integers(0, 5), st.one_of(st.none(), st.integers(1, 16)), st.booleans(), st.integers(0, 99)
)
def test_attention_equals_a_softmax_written_out(
    length: int, past: int, window: int | None, mixed: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    seen = past + length
    q = torch.randn(2, 4, length, 6, dtype=torch.float64, generator=generator)
    k, v = torch.randn(2, 2, 2, seen, 6, dtype=torch.float64, generator=generator).unbind()
    segments = torch.randint(-1, 2, (2, seen), generator=generator).sort(1).values if mixed else None
    found = attend(q, k, v, past, segments=segments, window=window)
    mask = visible(length, past, segments=segments, window=window)
    scores = q @ k.repeat_interleave(2, 1).transpose(2, 3) / 6**0.5
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    torch.testing.assert_close(found, weights @ v.repeat_interleave(2, 1))


def test_documents_are_told_apart_by_their_first_token() -> None:
    ids, targets, segments = split_documents(torch.tensor([[5, 6, 1, 7, 2, 1, 8]]), bos=1)
    assert ids.tolist() == [[5, 6, 1, 7, 2, 1]]
    assert segments.tolist() == [[0, 0, 1, 1, 1, 2]]
    assert targets.tolist() == [[6, IGNORED, 7, 2, IGNORED, 8]]


def test_a_batch_of_padding_is_refused() -> None:
    model, ids = made(**GROUPED)
    with pytest.raises(UserError, match="without a token to predict"):
        model.losses(ids, ids, torch.full_like(ids, -1))
