"""The recipe: what a person writes to say which model they want. Nothing else lives here."""

from .farm import Farm, Plan, ScaleUp
from .load import from_json, from_table, load
from .mix import Mix
from .model import Model, Optim, Train, Training
from .outcome import Evaluate, Release
from .recipe import Recipe
from .sources import Source
from .stages import Curate, Dedup, Machine, Quality, Runner, Tokenize

__all__ = [
    "Curate", "Dedup", "Evaluate", "Farm", "Machine", "Mix", "Model", "Optim", "Plan", "Quality", "Recipe", "Release",
    "Runner", "ScaleUp", "Source", "Tokenize", "Train", "Training", "from_json", "from_table", "load",
]  # fmt: skip
