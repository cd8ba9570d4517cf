"""Finds and loads the C kernels, the .c files beside it. Where they were not built, slower twins do the same work."""

import ctypes
import importlib.util
from functools import cache

from orfevre import console


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


@cache
def say_if_missing() -> None:
    """One warning, in the process that calls this, when the slower NumPy twins are in use."""
    if library() is None:
        console.warn(
            "the C text kernels are not built, so NumPy does their work, with equal results and more slowly; "
            "install a C compiler, then run `pip install -e .` (or reinstall orfevre) to build them"
        )
