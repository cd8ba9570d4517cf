"""The published folder: weights that Hugging Face tools load, the model card, checksums, torrent and magnet link.

Reads    curate, tokenize, mix, plan, train and evaluate, with the manifest of each.
Writes   <model name>/, <model name>.torrent and magnet.txt; the same inputs give the same bytes.
Resumes  not at all: what an interrupted attempt left is deleted first.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from orfevre.engine.checkpoint import load_trained
from orfevre.errors import WorkFolderError
from orfevre.ledger import Tally
from orfevre.model.names import to_hugging_face
from orfevre.recipe import Recipe

from . import card, checksums, configuration, facts, torrent, weights

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
    model = load_trained(inputs["train"])
    weights.write(folder, to_hugging_face(model.state_dict(), model.config), DTYPES[known.dtype])
    tokenizer = json.loads((inputs["tokenize"] / "tokenizer.json").read_text(encoding="utf-8"))
    index = known.index
    _write_json(folder / "config.json", configuration.model(model.config, model.vocab_size, index, known.dtype))
    _write_json(folder / "generation_config.json", configuration.generation(index))
    _write_json(folder / "tokenizer.json", configuration.tokenizer(tokenizer, index))
    _write_json(folder / "tokenizer_config.json", configuration.tokenizer_settings(model.config))


def _write_torrent(folder: Path, recipe: Recipe, out: Path) -> str:
    metadata = torrent.create(folder, recipe.release.trackers)
    if differing := torrent.verify(metadata, folder):
        raise WorkFolderError(f"{folder} changed while its torrent was made: {'; '.join(differing)}; run again")
    link = torrent.magnet(metadata)
    (out / f"{folder.name}.torrent").write_bytes(metadata)
    (out / "magnet.txt").write_text(link + "\n", encoding="utf-8")
    return link


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
