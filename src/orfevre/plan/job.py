"""The runs that a recipe asks to price: its own and, perhaps, a larger one that the same mixture would feed."""

from dataclasses import dataclass

from orfevre.errors import RecipeError
from orfevre.recipe import Farm, Model, Recipe


@dataclass(frozen=True)
class Job:
    """One run to price."""

    name: str
    model: Model
    vocab_size: int
    tokens: int
    sequence_length: int
    batch_sequences: int | None
    """None where the recipe leaves it open."""

    def devices(self, farm: Farm) -> int:
        """Accelerators that can work at once: each takes whole sequences of a step."""
        return farm.count if self.batch_sequences is None else min(farm.count, self.batch_sequences)


def jobs(recipe: Recipe, vocab_size: int) -> list[Job]:
    """The recipe's run, then its scale-up. Raises RecipeError for a scale-up without a vocabulary."""
    train, larger = recipe.train, recipe.plan.scale_up
    steps = train.num_steps * train.tokens_per_step
    own = Job(recipe.name, recipe.model, vocab_size, steps, train.sequence_length, train.batch_sequences)
    if larger is None:
        return [own]
    if not larger.model.vocab_size:
        raise RecipeError("plan.scale_up.model.vocab_size = 0: give the larger model's vocabulary, 32000 say")
    model, length = larger.model, larger.sequence_length
    return [own, Job(larger.name, model, model.vocab_size, larger.tokens, length, None)]
