"""A fastText model that the user has: `curate.language.fasttext = "lid.176.bin"`. Nothing is ever downloaded.

The file is read by fastText's own C++ reader (extra `fasttext`); it is a table of numbers, no code is in it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orfevre.curate.language_codes import UNDETERMINED, base
from orfevre.curate.language_decision import Detected
from orfevre.curate.language_signals import sample
from orfevre.errors import InputError, RecipeError, UserError

MAGIC = b"\xba\x16\x4f\x2f"
"""First bytes of every fastText model of version 11 and later, .bin and .ftz."""

LABEL = "__label__"


def detector(path: str) -> Callable[[Sequence[str]], list[Detected]]:
    """A function like `language_decision.detect`. Raises UserError where the file or the package is missing."""
    model = _load(path)

    def detect(texts: Sequence[str]) -> list[Detected]:
        # one line each, since fastText stops at the end of a line
        labels, shares = model.predict([sample(text).replace("\n", " ") for text in texts])
        return [_detected(label, share) for label, share in zip(labels, shares, strict=True)]

    return detect


def check(path: str) -> None:
    """Refuse early, in the main process, what `detector` would refuse in a worker."""
    _load(path)


def _detected(labels: Sequence[str], shares: Sequence[float]) -> Detected:
    if not len(labels):
        return Detected(UNDETERMINED, 0.0)
    return Detected(base(labels[0].removeprefix(LABEL)), min(1.0, float(shares[0])))  # it sums to 1.00001 at times


@cache
def _load(path: str) -> Any:
    where = f"curate.language.fasttext = {path!r}"
    try:
        with Path(path).open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise RecipeError(
            f"{where}: cannot be read ({error.strerror}); give a fastText model, or leave it out"
        ) from None
    if head != MAGIC:
        raise InputError(f"{where}: not a fastText model (a .bin or .ftz file); give one, or leave it out")
    try:
        import fasttext
    except ImportError:
        raise UserError(f"{where} needs the package fasttext: pip install 'orfevre[fasttext]'") from None
    try:
        model = fasttext.load_model(path)
    except Exception as error:  # whatever its C++ side makes of a damaged file
        raise InputError(f"{where}: damaged ({error}); fetch the file again") from error
    if not any(label.startswith(LABEL) for label in model.labels):
        raise InputError(f"{where}: holds no labels, so it is no classifier; give a model that names languages")
    return model
