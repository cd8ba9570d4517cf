"""Make a model from its shape: the vocabulary settled, the weights drawn from a seed."""

import torch

from orfevre import recipe
from orfevre.errors import RecipeError
from orfevre.model.transformer import Transformer, initialise


def resolve(shape: recipe.Model, vocab_size: int) -> recipe.Model:
    """The shape with its vocabulary filled in. Raises RecipeError if it is too small for the tokenizer's."""
    if shape.vocab_size == 0:
        return shape.model_copy(update={"vocab_size": vocab_size})
    if shape.vocab_size < vocab_size:
        raise RecipeError(
            f"model.vocab_size = {shape.vocab_size}: smaller than the tokenizer's {vocab_size}; "
            "raise it, or set it to 0 to take the tokenizer's"
        )
    return shape


def build(shape: recipe.Model, vocab_size: int, seed: int) -> Transformer:
    """A new model whose weights depend on its shape and the seed alone. `vocab_size` is the tokenizer's."""
    config = resolve(shape, vocab_size)
    model = Transformer(config, config.vocab_size)
    initialise(model, torch.Generator().manual_seed(seed))
    return model
