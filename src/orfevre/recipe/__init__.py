"""The recipe: what a person writes to say which model they want. Nothing else lives here."""

from .curate import Curate
from .dedup import Boilerplate, Dedup
from .farm import Farm, Plan, ScaleUp
from .language import Classifier, Language
from .load import from_json, from_table, load, load_objective
from .mix import ARMS, Group, Mix
from .model import Model, Optim, Phase, Train, Training
from .objective import Objective
from .outcome import Evaluate, Release
from .quality import Personal, Quality, Repair
from .reading import Reading
from .recipe import Recipe
from .rights import Extraction, OptOut
from .sources import Source
from .stages import Machine, Ray, Runner, Tokenize
from .tasks import Contamination, Task
from .trials import Batches, Check, Rung

__all__ = [
    "ARMS", "Batches", "Boilerplate", "Check", "Classifier", "Contamination", "Curate", "Dedup", "Evaluate",
    "Extraction", "Farm", "Group", "Language", "Machine", "Mix", "Model", "Objective", "OptOut", "Optim", "Personal",
    "Phase", "Plan", "Quality", "Ray", "Reading", "Recipe", "Release", "Repair", "Rung", "Runner", "ScaleUp", "Source",
    "Task", "Tokenize", "Train", "Training", "from_json", "from_table", "load", "load_objective",
]  # fmt: skip
