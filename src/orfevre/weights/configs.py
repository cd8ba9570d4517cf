"""The shapes of published models, by name."""

from orfevre.errors import RecipeError
from orfevre.recipe import Model

PUBLISHED = {
    # arXiv 2401.04088, table 1, and the release's config.json
    "mixtral-8x7b": Model(
        hidden_size=4096, num_layers=32, num_heads=32, num_kv_heads=8, head_size=128, ffn_size=14_336, num_experts=8,
        experts_per_token=2, vocab_size=32_000, context_length=32_768, rope_theta=1e6, norm_eps=1e-5,
    ),
    # the release's config.json (v0.1)
    "mixtral-8x22b": Model(
        hidden_size=6144, num_layers=56, num_heads=48, num_kv_heads=8, head_size=128, ffn_size=16_384, num_experts=8,
        experts_per_token=2, vocab_size=32_000, context_length=65_536, rope_theta=1e6, norm_eps=1e-5,
    ),
}  # fmt: skip


def named(name: str) -> Model:
    """The shape of a published model. Raises RecipeError for a name that is none."""
    try:
        return PUBLISHED[name]
    except KeyError:
        raise RecipeError(f"{name!r} is no published shape known here; known are {', '.join(PUBLISHED)}") from None
