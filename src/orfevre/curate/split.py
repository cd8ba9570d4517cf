"""Which documents are held out for validation: whole near-duplicate groups, by the hash of their id."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from orfevre.errors import InputError

Groups = dict[str, set[str]]


def hold_out(members: Sequence[tuple[str, str]], fraction: float, seed: int, sources: Sequence[str]) -> set[str]:
    """Groups for validation, out of (group id, source) of each kept document.

    Every source gets at least one document on both sides: where the hash gives it none, its groups move, nearest first.
    Raises InputError for a source that cannot have both.
    """
    of_source: Groups = defaultdict(set)
    in_group: Groups = defaultdict(set)
    for group, source in members:
        of_source[source].add(group)
        in_group[group].add(source)
    draw = {group: _draw(group, seed) for group in in_group}
    held = {group for group, value in draw.items() if value < fraction}
    for source in sources:  # first train, which matters more; a move to validation below never empties a train side
        if of_source[source] <= held:
            held.remove(max(of_source[source], key=draw.__getitem__))
    for source in sources:
        if not of_source[source] & held:
            held.add(_spare(source, of_source, in_group, held, draw.__getitem__))
    return held


def _spare(source: str, of_source: Groups, in_group: Groups, held: set[str], draw: Callable[[str], float]) -> str:
    """The group of least hash that may leave train without emptying the train side of any source."""
    for group in sorted(of_source[source], key=draw):
        if all(len(of_source[other] - held) > 1 for other in in_group[group]):
            return group
    raise InputError(
        f"sources.{source}: its documents are too few or too alike to have both training and validation text "
        f"({len(of_source[source])} group(s) of near-duplicates); give it more files, join it with another source, or "
        "raise curate.dedup.group_jaccard"
    )


def _draw(group: str, seed: int) -> float:
    """Uniform in [0, 1), the same for the same seed and group everywhere."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8], "big") / 2**64
