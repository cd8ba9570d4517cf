"""Continue a prompt with a trained model, token by token."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orfevre import artifact, console
from orfevre.data import tokenizer
from orfevre.errors import WorkFolderError
from orfevre.recipe import load


@dataclass(frozen=True)
class Sampling:
    tokens: int
    temperature: float
    top_k: int
    top_p: float
    seed: int


def generate(run: Path, prompt: str, sampling: Sampling) -> None:
    """Write the prompt and its continuation to stdout as it comes.

    `run` is a recipe or a run's folder. Raises WorkFolderError when no trained model is there.
    """
    folder = run_folder(run)
    for stage in ("tokenize", "train"):
        artifact.require(folder / stage)
    console.stream(prompt)
    for piece in continuation(folder, prompt, sampling):
        console.stream(piece)
    console.stream("\n")


def run_folder(run: Path) -> Path:
    """The folder that holds a run's stages. Raises WorkFolderError."""
    if run.suffix == ".toml":
        recipe = load(run)
        return Path(recipe.work) / recipe.name
    if (run / "train").is_dir():
        return run
    raise WorkFolderError(
        f"{run}: neither a recipe (.toml) nor a run's folder with a train stage such as work/quickstart"
    )


def continuation(folder: Path, prompt: str, sampling: Sampling) -> Iterator[str]:
    """Pieces of text after the prompt; a piece ends where its bytes are whole characters."""
    from orfevre.engine import checkpoint
    from orfevre.model.generate import generate as sample

    model = checkpoint.load_trained(folder / "train")
    coder = tokenizer.load(folder / "tokenize" / "tokenizer.json")
    ids = [coder.bos, *coder.encode(prompt)]
    written: list[int] = []
    shown = ""
    for token in sample(
        model,
        ids,
        max_new_tokens=sampling.tokens,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=sampling.seed,
        eos=coder.eos,
    ):
        written.append(token)
        text = coder.decode(written)
        if not text.endswith("\ufffd"):  # a character's bytes are not all there yet
            yield text[len(shown) :]
            shown = text
