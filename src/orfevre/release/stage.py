"""The published folder: weights that Hugging Face tools load, the model card, checksums, torrent and magnet link.

Reads    curate, tokenize, mix, plan, train and evaluate, with the manifest of each.
Writes   <model name>/, <model name>.torrent and magnet.txt; the same inputs give the same bytes.
Resumes  not at all: what an interrupted attempt left is deleted first.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from orfevre.errors import WorkFolderError
from orfevre.ledger import Tally
from orfevre.recipe import Recipe
from orfevre.weights import published
from orfevre.weights.opened import open_trained

from . import card, checksums, facts, torrent

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Publish the trained model. Raises RecipeError for a name that cannot be a folder's."""
    known = facts.gather(recipe, inputs)
    folder = out / known.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write_model(known, inputs, folder)
    (folder / "README.md").write_text(card.render(known), encoding="utf-8")
    (folder / "LICENSE").write_text(card.licence_note(known), encoding="utf-8")
    checksums.write(folder)
    link = _write_torrent(folder, recipe, out)
    files = [path for path in folder.rglob("*") if path.is_file()]
    counts = {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
    return Tally(counts=counts, notes={"magnet": link})


def _write_model(known: facts.Facts, inputs: Mapping[str, Path], folder: Path) -> None:
    published.hugging_face(open_trained(inputs["train"], inputs["tokenize"]), folder, DTYPES[known.dtype])


def _write_torrent(folder: Path, recipe: Recipe, out: Path) -> str:
    metadata = torrent.create(folder, recipe.release.trackers)
    if differing := torrent.verify(metadata, folder):
        raise WorkFolderError(f"{folder} changed while its torrent was made: {'; '.join(differing)}; run again")
    link = torrent.magnet(metadata)
    (out / f"{folder.name}.torrent").write_bytes(metadata)
    (out / "magnet.txt").write_text(link + "\n", encoding="utf-8")
    return link
