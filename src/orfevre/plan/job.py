"""The runs that a recipe asks to price: its own and, perhaps, a larger one that the same mixture would feed."""

from dataclasses import dataclass

from orfevre.errors import RecipeError
from orfevre.recipe import Farm, Model, Recipe, ScaleUp


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
    farm: Farm
    farm_path: str
    """Where the recipe has the farm, for messages."""

    @property
    def num_devices(self) -> int:
        """Accelerators that can work at once: each takes whole sequences of a step."""
        return self.farm.count if self.batch_sequences is None else min(self.farm.count, self.batch_sequences)


def jobs(recipe: Recipe, vocab_size: int) -> list[Job]:
    """The recipe's run, then its scale-up. Raises RecipeError for a scale-up without a vocabulary."""
    train, larger = recipe.train, recipe.plan.scale_up
    own = Job(
        name=recipe.name,
        model=recipe.model,
        vocab_size=vocab_size,
        tokens=train.num_steps * train.tokens_per_step,
        sequence_length=train.sequence_length,
        batch_sequences=train.batch_sequences,
        farm=recipe.plan.farm,
        farm_path="plan.farm",
    )
    return [own] if larger is None else [own, _scaled_up(larger, recipe.plan.farm)]


def _scaled_up(larger: ScaleUp, default: Farm) -> Job:
    if not larger.model.vocab_size:
        raise RecipeError("plan.scale_up.model.vocab_size = 0: give the larger model's vocabulary, 32000 say")
    return Job(
        name=larger.name,
        model=larger.model,
        vocab_size=larger.model.vocab_size,
        tokens=larger.tokens,
        sequence_length=larger.sequence_length,
        batch_sequences=None,
        farm=larger.farm or default,
        farm_path="plan.scale_up.farm" if larger.farm else "plan.farm",
    )
