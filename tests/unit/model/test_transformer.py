"""Causality, the key-value cache, and an initialisation that the seed decides."""

import math

import pytest
import torch

from orfevre import recipe
from orfevre.engine.build import build, resolve
from orfevre.errors import RecipeError
from orfevre.model.attention import KeyValueCache
from orfevre.model.transformer import Transformer

SHAPE = recipe.Model(
    hidden_size=32, num_layers=3, num_heads=4, num_kv_heads=2, ffn_size=32, num_experts=4, context_length=24
)


@pytest.fixture
def model() -> Transformer:
    made = build(SHAPE, 50, seed=1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(5)
    return made.eval()


def test_no_position_sees_a_later_one(model: Transformer) -> None:
    ids = torch.randint(50, (1, 20), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 12:] = (ids[0, 12:] + 1) % 50
    with torch.no_grad():
        before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


@pytest.mark.parametrize("pieces", [[20], [1] * 20, [7, 1, 12], [3, 9, 8]])
def test_the_cache_gives_what_recomputation_gives(model: Transformer, pieces: list[int]) -> None:
    ids = torch.randint(50, (2, 20), generator=torch.Generator().manual_seed(0))
    caches = [KeyValueCache(20) for _ in model.blocks]
    with torch.no_grad():
        cached = torch.cat([model(piece, caches) for piece in ids.split(pieces, dim=1)], dim=1)
        # weights five times too large amplify the rounding of float32: plain torch is as far from float64
        torch.testing.assert_close(cached, model(ids), atol=1e-3, rtol=1e-3)


def test_the_seed_decides_the_weights_and_the_global_generator_does_not() -> None:
    first, second = build(SHAPE, 50, seed=1), build(SHAPE, 50, seed=1)
    other = build(SHAPE, 50, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.embedding.weight, other.embedding.weight)


def test_initial_scale_is_the_documented_one() -> None:
    model = build(recipe.Model(), 1000, seed=1)
    config, moe = model.config, model.blocks[0].moe
    assert model.embedding.weight.std().item() == pytest.approx(1.0, rel=0.02)
    assert model.output.weight.std().item() == pytest.approx(0.2 * config.hidden_size**-0.5, rel=0.02)
    assert moe.w13.std().item() == pytest.approx(config.hidden_size**-0.5, rel=0.02)  # type: ignore[union-attr]
    assert moe.w2.std().item() == pytest.approx((12 * config.ffn_size) ** -0.5, rel=0.02)  # type: ignore[union-attr]
    tied = build(recipe.Model(tie_embeddings=True), 1000, seed=1)
    assert tied.embedding.weight.std().item() == pytest.approx(0.2 * config.hidden_size**-0.5, rel=0.02)


@pytest.mark.parametrize("width", [32, 64, 256])
def test_first_guess_is_near_uniform_at_every_width(width: int) -> None:
    model = build(SHAPE.model_copy(update={"hidden_size": width, "head_size": 0}), 200, seed=1)
    ids = torch.arange(16).view(1, 16)
    assert model.losses(ids, ids + 1).cross_entropy.item() == pytest.approx(math.log(200), abs=0.1)


def test_the_vocabulary_is_the_tokenizers_unless_the_recipe_asks_for_more() -> None:
    assert resolve(SHAPE, 50).vocab_size == 50
    assert resolve(SHAPE.model_copy(update={"vocab_size": 64}), 50).vocab_size == 64
    with pytest.raises(RecipeError, match="vocab_size"):
        resolve(SHAPE.model_copy(update={"vocab_size": 40}), 50)


def test_parameters_agree_with_the_count_made_without_torch() -> None:
    from orfevre.model import count

    for tied in (False, True):
        shape = SHAPE.model_copy(update={"tie_embeddings": tied})
        model = build(shape, 50, seed=1)
        assert sum(parameter.numel() for parameter in model.parameters()) == count.parameters(shape, 50).total
