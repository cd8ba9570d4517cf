"""Checkpoints: safetensors and JSON, never pickle; written aside and renamed, so that a kill leaves only whole ones.

checkpoints/step-<n>/model.safetensors      parameters and balancing biases, float32
checkpoints/step-<n>/optimiser.safetensors  <parameter>.exp_avg, .exp_avg_sq, .step
checkpoints/step-<n>/state.json             Progress
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from orfevre import recipe
from orfevre.errors import WorkFolderError
from orfevre.model.transformer import Transformer

MODEL, OPTIMISER, STATE = "model.safetensors", "optimiser.safetensors", "state.json"


@dataclass(frozen=True)
class Progress:
    """How far training is. Batches depend on the step alone, and nothing else is random."""

    step: int = 0
    """Steps done."""
    tokens: int = 0
    seconds: float = 0.0
    """Time spent in steps, earlier attempts included."""
    loss: float = 0.0
    """Of the last step."""
    data: str = ""
    """The loader's digest: with another, the steps to come would not go with those done."""


class Checkpoints:
    """A folder of checkpoints: one at least every `minutes`, the last `keep` kept. `data` is the loader's digest."""

    def __init__(self, folder: Path, minutes: float, keep: int, data: str = "") -> None:
        self.folder, self.minutes, self.keep, self.data = folder, minutes, keep, data

    def newest(self) -> Path | None:
        """The one with the most steps; what a kill left half-written or half-deleted is cleared away."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".*"):
            shutil.rmtree(left)
        found = self._all()
        return found[-1] if found else None

    def newest_step(self) -> int:
        """Steps that training would go on from; 0 when there is no checkpoint."""
        newest = self.newest()
        return int(newest.name.removeprefix("step-")) if newest else 0

    def save(self, model: Transformer, optimiser: torch.optim.Optimizer, progress: Progress) -> Path:
        target = self.folder / f"step-{progress.step}"
        save(target, model, optimiser, replace(progress, data=self.data))
        for old in self._all()[: -self.keep]:
            _remove(old)
        return target

    def load(self, checkpoint: Path, model: Transformer, optimiser: torch.optim.Optimizer) -> Progress:
        """Like the function, but only a checkpoint of the same data. Raises WorkFolderError."""
        progress = load(checkpoint, model, optimiser)
        if progress.data != self.data:
            raise WorkFolderError(
                f"{checkpoint / STATE}: trained on other data (digest {progress.data or 'none'}, now "
                f"{self.data or 'none'}): sources' sizes, weights, phases, seed or batches have changed. Delete "
                f"{self.folder} to train from the beginning, or bring back what it was trained on"
            )
        return progress

    def _all(self) -> list[Path]:
        steps = [(int(found[1]), path) for path in self.folder.iterdir() if (found := _STEP.fullmatch(path.name))]
        return [path for _, path in sorted(steps)]


_STEP = re.compile(r"step-(\d+)")


def save(target: Path, model: Transformer, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Write one checkpoint folder. Either it stands whole under its name or not at all."""
    aside = target.with_name(f".{target.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(_parameters(model), aside / MODEL)
    save_file(_moments(model, optimiser), aside / OPTIMISER)
    (aside / STATE).write_text(json.dumps(asdict(progress)), encoding="utf-8")
    for path in aside.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if target.exists():
        _remove(target)
    aside.rename(target)


def load(folder: Path, model: Transformer, optimiser: torch.optim.Optimizer) -> Progress:
    """Put a checkpoint into a model and its optimiser. Raises WorkFolderError naming the file and what is wrong."""
    progress = _read_progress(folder / STATE)
    load_model(folder / MODEL, model)
    shapes: dict[str, torch.Size] = {}
    for name, parameter in model.named_parameters():
        shapes[f"{name}.exp_avg"] = shapes[f"{name}.exp_avg_sq"] = parameter.shape
        shapes[f"{name}.step"] = torch.Size()
    moments = read_tensors(folder / OPTIMISER, shapes)
    for name, parameter in model.named_parameters():
        optimiser.state[parameter] = {
            key: moments[f"{name}.{key}"].to(parameter.device) for key in ("step", "exp_avg", "exp_avg_sq")
        }
    return progress


def load_model(path: Path, model: Transformer) -> None:
    """Put a model.safetensors into a model of the same shape. Raises WorkFolderError."""
    parameters = _parameters(model)
    tensors = read_tensors(path, {name: tensor.shape for name, tensor in parameters.items()})
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def load_trained(train_folder: Path) -> Transformer:
    """The model that a finished train stage made, in evaluation mode. Raises WorkFolderError."""
    config, summary = (_read_json(train_folder / name) for name in ("config.json", "summary.json"))
    try:
        shape, checkpoint = recipe.Model.model_validate(config), str(summary["checkpoint"])
    except (ValidationError, KeyError) as error:
        raise WorkFolderError(f"{train_folder}: config.json or summary.json is damaged ({error}); run again") from None
    model = Transformer(shape, shape.vocab_size)
    load_model(train_folder / checkpoint / MODEL, model)
    return model.eval()


def read_tensors(path: Path, shapes: Mapping[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Every tensor of a safetensors file that must hold exactly these names and shapes. Raises WorkFolderError."""
    remedy = f"delete {path.parent} to go on from the checkpoint before it"
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            for name in sorted(shapes.keys() | found.keys()):
                if name not in found:
                    raise WorkFolderError(f"{path}: tensor {name} is missing; {remedy}")
                if name not in shapes:
                    raise WorkFolderError(f"{path}: tensor {name} is not of this model; {remedy}")
                if found[name] != shapes[name]:
                    wanted, got = list(shapes[name]), list(found[name])
                    raise WorkFolderError(f"{path}: tensor {name} is {got}, this model's is {wanted}; {remedy}")
            return {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError) as error:
        raise WorkFolderError(f"{path}: cannot be read ({error}); {remedy}") from None


def _parameters(model: Transformer) -> dict[str, torch.Tensor]:
    """By name, a tied tensor once; with the buffers that training changes (persistent ones: balancing biases)."""
    kept = model.state_dict().keys()
    state = dict(model.named_parameters()) | {name: tensor for name, tensor in model.named_buffers() if name in kept}
    return {name: tensor.detach() for name, tensor in state.items()}


def _moments(model: Transformer, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimiser.state[parameter].items()
    }


def _read_progress(path: Path) -> Progress:
    try:
        return TypeAdapter(Progress).validate_python(_read_json(path))
    except ValidationError as error:
        raise WorkFolderError(f"{path}: damaged ({error.error_count()} fields); delete {path.parent}") from None


def _read_json(path: Path) -> dict[str, object]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkFolderError(f"{path}: cannot be read ({error}); delete {path.parent} and run again") from None
    if not isinstance(table, dict):
        raise WorkFolderError(f"{path}: not a JSON object; delete {path.parent} and run again")
    return table


def _remove(folder: Path) -> None:
    """Rename first: a folder that is being deleted must not look like a checkpoint."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old)
