"""A tokenizer that the recipe names: a tokenizer.json as it is, Mistral's tekken.json and tokenizer.model as one."""

from pathlib import Path

from orfevre.data import tokenizer
from orfevre.weights import tokenizer as published


def load(path: Path) -> tokenizer.Tokenizer:
    """Raises InputError for a file that is no tokenizer, or a tokenizer that cannot serve."""
    if ".model" in path.name or "tekken" in path.name:
        return tokenizer.checked(path, published.load(path))
    return tokenizer.load(path)
