"""Scores of texts by a byte automaton and a table of weights (automaton.c; automaton_numpy.py is its twin)."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from orfevre.kernels import automaton_numpy, native

NUM_LOGARITHMS = 4096
"""Counts are taken as less than this; a text would need as many occurrences of one n-gram."""

_ADDRESS = ctypes.c_void_p


class _Automaton(ctypes.Structure):
    """`orfevre_automaton` of automaton.c."""

    _fields_ = [
        *((name, _ADDRESS) for name in ("next", "row", "feature", "weight", "half", "logarithm")),
        ("num_classes", ctypes.c_int32),
        ("num_logarithms", ctypes.c_int32),
    ]


@dataclass(frozen=True, eq=False)
class Automaton:
    """Every index is checked when it is made, so that no text can lead the kernel astray."""

    next: NDArray[np.uint32]
    """`[num_rows, 256]`: the state after a byte."""
    row: NDArray[np.uint32]
    """`[num_states]`: the row of `next` that a state uses."""
    feature: NDArray[np.int32]
    """`[num_states]`: the feature found in a state, or less than 0."""
    weight: NDArray[np.float16]
    """`[num_features, num_classes]`; the number of classes a multiple of 8 (fill up with columns of zeros)."""

    def __post_init__(self) -> None:
        states = len(self.row)
        sound = (
            self.next.ndim == 2
            and self.next.shape[1] == 256
            and len(self.feature) == states > 0
            and int(self.next.max(initial=0)) < states
            and int(self.row.max(initial=0)) < len(self.next)
            and int(self.feature.max(initial=-1)) < len(self.weight)
            and self.weight.shape[1] % 8 == 0
        )
        if not sound:
            raise ValueError("an automaton whose tables do not fit each other")
        for name in ("next", "row", "feature", "weight"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))

    def scores(self, texts: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Scores float32 `[num_texts, num_classes]`; features found, with repeats and without, int64 `[num_texts]`."""
        library = _library()
        if library is None:
            return automaton_numpy.scores(self, texts, logarithms())
        scores = np.zeros((len(texts), self.weight.shape[1]), np.float32)
        hits, distinct = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
        offsets = native.offsets(texts)
        found = np.empty(max(1, int(np.diff(offsets).max(initial=0))), np.int32)
        library.orfevre_automaton_scores(
            ctypes.byref(self._tables), b"".join(texts), offsets.ctypes.data, len(texts), scores.ctypes.data,
            hits.ctypes.data, distinct.ctypes.data, self._counts.ctypes.data, found.ctypes.data,
        )  # fmt: skip
        return scores, hits, distinct

    @cached_property
    def _tables(self) -> _Automaton:
        arrays = (self.next, self.row, self.feature, self.weight, halves(), logarithms())
        return _Automaton(*(array.ctypes.data for array in arrays), self.weight.shape[1], NUM_LOGARITHMS)

    @cached_property
    def _counts(self) -> NDArray[np.int32]:
        """The kernel's counters, zero between calls; so one automaton serves one thread at a time."""
        return np.zeros(len(self.weight), np.int32)


@cache
def _library() -> ctypes.CDLL | None:
    arguments = [ctypes.POINTER(_Automaton), ctypes.c_char_p, _ADDRESS, ctypes.c_int64, *[_ADDRESS] * 5]
    return native.declared({"orfevre_automaton_scores": (None, arguments)})


@cache
def logarithms() -> NDArray[np.float32]:
    """log(1 + count), float32 `[NUM_LOGARITHMS]`. Kept, since the kernel holds its address."""
    return np.log1p(np.arange(NUM_LOGARITHMS, dtype=np.float64)).astype(np.float32)


@cache
def halves() -> NDArray[np.float32]:
    """What each of the 65,536 float16 numbers stands for, for machines that cannot convert them. Kept likewise."""
    return np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
