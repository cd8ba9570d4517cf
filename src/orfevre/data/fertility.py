"""fertility.json: how much text of each language a tokenizer turned into how many tokens, source by source."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, ValidationError

from orfevre import artifact
from orfevre.errors import InputError

FILE = "fertility.json"
UNKNOWN = "und"


class Amount(BaseModel):
    """Text and its tokens; rates are None where there is nothing to divide by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    documents: int = 0
    bytes: int = 0
    characters: int = 0
    """Unicode code points."""
    words: int = 0
    """Runs without ASCII white space or control character: few where a language is written without spaces."""
    tokens: int = 0
    """Without begin and end."""

    @property
    def bytes_per_token(self) -> float | None:
        return self.bytes / self.tokens if self.tokens else None

    @property
    def tokens_per_word(self) -> float | None:
        return self.tokens / self.words if self.words else None

    @property
    def tokens_per_character(self) -> float | None:
        return self.tokens / self.characters if self.characters else None

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(**{name: getattr(self, name) + getattr(other, name) for name in Amount.model_fields})


Languages = dict[str, Amount]


class Fertility(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: dict[str, Languages]
    """Source, then language as `documents` has it, `und` where it has none; both splits together."""


class Measured(NamedTuple):
    """Of each document of a batch, int64."""

    bytes: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]


def by_language(languages: Any, measured: Measured) -> Languages:
    """Sums over the documents of each language; `languages` is a pyarrow string array with nulls or empty strings."""
    named = pc.if_else(pc.equal(pc.fill_null(languages, ""), ""), UNKNOWN, languages).dictionary_encode()
    codes, names = named.indices.to_numpy(), named.dictionary.to_pylist()
    documents = np.bincount(codes, minlength=len(names))
    sums = {name: [int(values[codes == code].sum()) for code in range(len(names))] for name, values in
            measured._asdict().items()}  # fmt: skip
    return {
        name: Amount(documents=int(documents[code]), **{key: of_all[code] for key, of_all in sums.items()})
        for code, name in enumerate(names)
    }


def total(amounts: Iterable[Languages]) -> Languages:
    """Language by language, in the order of their codes."""
    made: Languages = {}
    for languages in amounts:
        for name, amount in languages.items():
            made[name] = made.get(name, Amount()) + amount
    return dict(sorted(made.items()))


def write(folder: Path, fertility: Fertility) -> None:
    artifact.write_text(folder / FILE, fertility.model_dump_json(indent=1) + "\n")


def read(folder: Path) -> Fertility:
    """Raises InputError naming the file."""
    path = folder / FILE
    try:
        return Fertility.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: not found; `orfevre run RECIPE --from tokenize` makes it") from None
    except (OSError, ValidationError) as error:
        cause = str(error).splitlines()[0]
        raise InputError(f"{path}: damaged ({cause}); delete the tokenize folder and run again") from None
