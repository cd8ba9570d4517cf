"""Finds and loads the C kernels, the .c files beside it. Where they were not built, slower twins do the same work."""

import ctypes
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orfevre import console

FIRST_ROOM = 4096
"""Rows that `places` offers a kernel at first."""

Signature = tuple[Any, list[Any]]
"""Type of the result, types of the arguments."""


@cache
def library() -> ctypes.CDLL | None:
    """The C kernels, or None where no compiler was at hand when orfevre was installed."""
    spec = importlib.util.find_spec("orfevre.kernels._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        loaded = ctypes.CDLL(spec.origin)
        _ = loaded.orfevre_words  # the newest of the text kernels
    except (OSError, AttributeError):  # built for another machine, or by an older orfevre
        return None
    return loaded


def declared(signatures: Mapping[str, Signature]) -> ctypes.CDLL | None:
    """The kernels with the types of these functions set; None where they, or one of these, were not built."""
    loaded = library()
    if loaded is None or not all(hasattr(loaded, name) for name in signatures):
        return None
    for name, (result, arguments) in signatures.items():
        kernel = getattr(loaded, name)
        kernel.restype, kernel.argtypes = result, arguments
    return loaded


def offsets(texts: Sequence[bytes]) -> NDArray[np.int64]:
    """int64 `[num_texts + 1]`: where each text begins once they are joined, then the end."""
    places = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=places[1:])
    return places


def places(kernel: Callable[..., int], texts: Sequence[bytes], width: int) -> NDArray[np.int64]:
    """int64 `[num_places, width]`, what `kernel(text, offsets, num_texts, out, room)` writes into `out`.

    It returns how many rows there are, and is called again with room for them where there was not enough.
    """
    text, starts, room = b"".join(texts), offsets(texts), FIRST_ROOM
    while True:
        found = np.empty((room, width), np.int64)
        count = int(kernel(text, starts.ctypes.data, len(texts), found.ctypes.data, room))
        if count <= room:
            return found[:count]
        room = count


@cache
def say_if_missing() -> None:
    """One warning, in the process that calls this, when the slower NumPy twins are in use."""
    if library() is None:
        console.warn(
            "the C text kernels are not built, so NumPy does their work, with equal results and more slowly; "
            "install a C compiler, then run `pip install -e .` (or reinstall orfevre) to build them"
        )
