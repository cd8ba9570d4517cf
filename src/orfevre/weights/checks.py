"""What is refused before a weight is used: pickles, tensors that are missing, extra or of another shape, NaN."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from orfevre.errors import InputError

from . import stored
from .layout import Layout

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
IGNORED = ("rotary_emb.inv_freq",)
"""Endings of tensors that older releases hold and nobody needs."""


def checked(
    path: Path, layout: Layout, entries: Mapping[str, stored.Entry], spare: Iterable[str] = ()
) -> dict[str, stored.Entry]:
    """The layout's tensors, each there and of its shape. Raises InputError naming what is missing, extra or other."""
    extra = sorted(name for name in entries.keys() - layout.shapes.keys() - set(spare) if not name.endswith(IGNORED))
    for problem, names in (("missing", sorted(layout.shapes.keys() - entries.keys())), ("not of this model", extra)):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise InputError(f"{path}: tensor {names[0]}{more} is {problem}; take config and weights of one release")
    for name, shape in layout.shapes.items():
        if entries[name].shape != shape:
            raise InputError(
                f"{entries[name].path}: tensor {name} is {list(entries[name].shape)}, its configuration says "
                f"{list(shape)}; take config and weights of one release"
            )
    return {name: entries[name] for name in layout.shapes}


def check_finite(tensor: torch.Tensor, path: Path, name: str) -> None:
    """Raises InputError when a weight is NaN or infinite."""
    if tensor.numel() and not all(bool(torch.isfinite(end)) for end in torch.aminmax(tensor)):
        raise InputError(f"{path}: tensor {name} holds NaN or infinity; the file is damaged or its training diverged")


def refuse_pickles(folder: Path) -> None:
    """A folder whose only weights are pickles."""
    found = sorted(path for path in folder.glob("*") if path.suffix in PICKLES)
    if found and not list(folder.glob("*.safetensors")):
        raise InputError(f"{found[0]}: {pickle_remedy()}")


def pickle_remedy() -> str:
    return (
        "a pickle, which can run any code when it is opened, so orfevre opens none. Take the model's safetensors "
        "release, or turn it into one where that does no harm, with torch.load(FILE, weights_only=True) and "
        "safetensors.torch.save_file"
    )
