"""The bill of the big run, before the oven is lit.

Reads    tokenize/index.json (vocabulary, tokens of each source) and mix/mixture.json (weights, price of the wrong mix).
Writes   bill.json and bill.md.
Resumes  not at all: it takes a moment, and both files are written aside and renamed.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from orfevre import artifact, console
from orfevre.data.shards import read_index
from orfevre.ledger import Tally
from orfevre.recipe import Recipe

from . import words
from .price import price


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Price the recipe's run and its scale-up. Raises RecipeError for a farm that cannot be priced."""
    index = read_index(inputs["tokenize"])
    mixture = json.loads((inputs["mix"] / "mixture.json").read_text(encoding="utf-8"))
    bill = price(
        recipe,
        max(recipe.model.vocab_size, index.vocab_size),
        mixture=mixture,
        tokens_by_source={name: splits.train.tokens for name, splits in index.sources.items()},
    )
    for line in bill.warnings:
        console.warn(line)
    artifact.write_text(out / "bill.json", bill.model_dump_json(indent=1) + "\n")
    artifact.write_text(out / "bill.md", words.render(bill))
    return Tally(counts={"runs": len(bill.runs), "warnings": len(bill.warnings)})
