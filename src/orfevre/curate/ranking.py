"""Which of several like documents is the best: the order that recipe.Dedup.keep asks for, then the lower id."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orfevre.curate.catalogue import Catalogue
from orfevre.recipe import Dedup

Ints = NDArray[np.int64]


def order(catalogue: Catalogue, places: Ints, rules: Dedup) -> Ints:
    """Positions in `places`, best first. It is a strict order of documents: ids differ inside a source, and sources
    in the end rank too."""
    index, priorities = catalogue.rows(places)
    of_criterion = {"source": priorities, "quality": -index["quality"], "length": -index["num_bytes"]}
    wanted = [of_criterion[criterion] for criterion in rules.keep]
    # lexsort's last key weighs most
    return np.lexsort((priorities, index["id"], *reversed(wanted))).astype(np.int64)


def priorities(names: Sequence[str], rules: Dedup) -> dict[str, int]:
    """How sources rank: those of rules.priority first, in its order, then the others in the order of the recipe."""
    first = [name for name in rules.priority if name in names]
    ordered = [*first, *(name for name in names if name not in first)]
    return {name: rank for rank, name in enumerate(ordered)}
