"""Published shapes have the parameters that were published."""

import pytest
from tests.places import ROOT

from orfevre import recipe
from orfevre.errors import RecipeError
from orfevre.model import count
from orfevre.weights import configs


@pytest.mark.parametrize(
    ("name", "total", "active"), [("mixtral-8x7b", 46.7, 12.9), ("mixtral-8x22b", 140.6, 39.2)]
)  # billions: 46.7 and 12.9 (arXiv 2401.04088); "141B" and "39B active" (the announcement of 8x22B)
def test_parameters_are_the_published_ones(name: str, total: float, active: float):
    shape = configs.named(name)
    found = count.parameters(shape, shape.vocab_size)
    assert round(found.total / 1e9, 1) == total
    assert round(found.active / 1e9, 1) == active


def test_the_recipe_is_of_the_published_shape():
    shape = recipe.load(ROOT / "recipes" / "mixtral-8x7b.toml").model
    published = configs.named("mixtral-8x7b")
    fields = ("hidden_size", "num_layers", "num_heads", "num_kv_heads", "head_width", "ffn_size", "num_experts",
              "experts_per_token", "vocab_size", "context_length", "rope_theta", "norm_eps")  # fmt: skip
    assert [getattr(shape, field) for field in fields] == [getattr(published, field) for field in fields]


def test_an_unknown_name_is_refused():
    with pytest.raises(RecipeError, match="mixtral-8x22b"):
        configs.named("mixtral-9x9b")
