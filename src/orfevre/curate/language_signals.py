"""What two identifiers say of a text: CLD2 (pycld2) and a naive Bayes over byte n-grams (py3langid's model).

The model's file is read by us and its automaton is walked by a C kernel (kernels/automaton.py), some ten times as fast
as the package's own loop. Neither needs a download. language_decision.py makes one answer of the two.
"""

import io
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orfevre.curate.language_codes import UNDETERMINED, base
from orfevre.kernels.automaton import Automaton

Floats = NDArray[np.float64]

WINDOWS, WINDOW_CHARS = 3, 200
"""A longer text is seen through so many windows, evenly placed: CLD2 reads 28 MB/s, and 600 characters are enough."""


@dataclass(frozen=True, eq=False)
class Signals:
    """Of n texts, with M languages that the Bayes model knows, the first of `names()`."""

    bayes: NDArray[np.float32]
    """`[n, M]`: log-odds against the model's best language over sqrt(bytes); 0 for that one."""

    best: NDArray[np.int64]
    """`[n]`: the model's best language."""

    per_feature: Floats
    """`[n]`: mean log-odds per n-gram of the best language; low where nothing fits."""

    hits: Floats
    """`[n]`: n-grams found."""

    distinct: Floats
    """`[n]`: n-grams found, without repeats."""

    num_bytes: Floats
    """`[n]`: UTF-8 bytes looked at."""

    first: NDArray[np.int64]
    """`[n]`: CLD2's first language; -1 when it has none."""

    second: NDArray[np.int64]
    share: Floats
    """`[n, 2]`: share of the text in CLD2's first and second language, 0 to 1."""

    score: Floats
    """`[n]`: CLD2's score of its first language, per kilobyte."""


def sample(text: str) -> str:
    """At most WINDOWS x WINDOW_CHARS characters of a text, from all over it; lowered if all in capitals."""
    if len(text) > WINDOWS * WINDOW_CHARS:
        step = (len(text) - WINDOW_CHARS) / (WINDOWS - 1)
        starts = [round(window * step) for window in range(WINDOWS)]
        text = "\n".join(text[start : start + WINDOW_CHARS] for start in starts)
    return text.lower() if text.isupper() else text


@cache
def names() -> tuple[str, ...]:
    """Every language that one of the two knows; those of the Bayes model come first."""
    import pycld2

    detected = set(pycld2.DETECTED_LANGUAGES)
    of_cld2 = {base(code) for name, code in pycld2.LANGUAGES if name in detected}
    _, modelled, _ = _model()
    return (*modelled, *sorted(of_cld2 - {*modelled, UNDETERMINED, "xx", "zzp", "tlh"}))


def num_modelled() -> int:
    """How many of `names` the Bayes model knows."""
    return len(_model()[1])


def signals(texts: Sequence[str]) -> Signals:
    """Of texts that `sample` has shortened and that have UTF-8."""
    encoded = [text.encode() for text in texts]
    sizes = np.array([len(data) for data in encoded], np.float64)
    model, modelled, twins = _model()
    raw, hits, distinct = model.scores(encoded)
    bayes = raw[:, : len(modelled)]
    for column, language in enumerate(twins, start=len(modelled)):
        np.maximum(bayes[:, language], raw[:, column], out=bayes[:, language])
    best = np.argmax(bayes, axis=1)
    top = bayes[np.arange(len(bayes)), best]
    bayes -= top[:, None]
    bayes /= np.sqrt(np.maximum(sizes, 1)).astype(np.float32)[:, None]
    found, different = hits.astype(np.float64), distinct.astype(np.float64)
    return Signals(bayes, best, top / np.maximum(found, 1), found, different, sizes, *_cld2(encoded))


def _cld2(encoded: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    import pycld2

    detect, error = pycld2.detect, pycld2.error
    numbers = {code: _number(code) for _, code in pycld2.LANGUAGES}
    found: list[tuple[int, int, int, int, float]] = []
    for data in encoded:
        try:
            _, _, details = detect(data, True, bestEffort=True)
        except error:  # it takes some valid characters (non-characters, private use) for broken UTF-8
            printable = "".join(char if char.isprintable() else " " for char in data.decode())
            try:
                _, _, details = detect(printable, True, bestEffort=True)
            except error:
                found.append((-1, -1, 0, 0, 0.0))
                continue
        (_, code, share, score), (_, other, rest, _) = details[0], details[1]
        found.append((numbers.get(code, -1), numbers.get(other, -1), share, rest, score))
    table = np.fromiter(chain.from_iterable(found), np.float64, 5 * len(found)).reshape(len(found), 5)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:4] / 100, table[:, 4]


@cache
def _number(code: str) -> int:
    main = base(code)
    return names().index(main) if main in names() else -1


@cache
def _model() -> tuple[Automaton, tuple[str, ...], tuple[int, ...]]:
    """py3langid's model; 70 MB in memory, half a second to read.

    Its columns are put in the order of its languages, each once; columns that stand for one a second time (another
    script, a member of a macrolanguage) follow, with the place of that language. What is no language is left out.
    """
    import py3langid

    path = Path(py3langid.__file__).parent / "data" / "model.npz.xz"
    with lzma.open(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
        languages, columns, twins = columns_of(arrays["classes"].tolist())
        weight = arrays["ptc"].astype(np.float16)[:, columns]
        # the classes' prior is left out: it is the share of languages in its training text, not in anyone's corpus
        return (
            Automaton(
                arrays["nextmove"].reshape(-1, 256).astype(np.uint32),
                arrays["nextmove_row"].astype(np.uint32),
                arrays["out_feat"].astype(np.int32),
                np.pad(weight, ((0, 0), (0, -len(columns) % 8))),
            ),
            languages,
            twins,
        )


def columns_of(classes: Sequence[str]) -> tuple[tuple[str, ...], list[int], tuple[int, ...]]:
    """Languages by name; the classes' columns in their order, then the other ones; the languages of those."""
    of_language: dict[str, list[int]] = {}
    for column, code in enumerate(classes):
        if base(code) != UNDETERMINED:
            of_language.setdefault(base(code), []).append(column)
    languages = tuple(sorted(of_language))
    more = [(place, column) for place, name in enumerate(languages) for column in of_language[name][1:]]
    first = [of_language[name][0] for name in languages]
    return languages, first + [column for _, column in more], tuple(place for place, _ in more)
