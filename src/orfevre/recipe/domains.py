"""What the recipe says of a source that `domains` splits, over its parts.

A number given to the source as a whole is divided evenly over its parts where it is a weight, and holds for their sum
where it is a limit. Parts may be named instead, but not both in one table: what is left for the others would be unsaid.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from .mix import LEAST_ROOM, Group, Mix
from .model import Train
from .sources import Source


def spread(weights: Mapping[str, float], sources: Sequence[Source]) -> dict[str, float]:
    """`weights` over parts: what a split source has, divided evenly."""
    parts = {source.name: source.parts for source in sources}
    return {
        part: weight / len(parts.get(name, (name,)))
        for name, weight in weights.items()
        for part in parts.get(name, (name,))
    }


def groups(mix: Mix, sources: Sequence[Source]) -> tuple[Group, ...]:
    """The recipe's groups with parts for members, and one group for each split source that has limits."""
    parts = {source.name: source.parts for source in sources}
    asked = [
        group.model_copy(
            update={"sources": _unique(part for name in group.sources for part in parts.get(name, (name,)))}
        )
        for group in mix.groups
    ]
    limited = [
        Group(
            name=source.name,
            sources=source.parts,
            min_weight=mix.min_weights.get(source.name, 0.0),
            max_weight=mix.max_weights.get(source.name, 1.0),
        )
        for source in sources
        if source.domains > 1 and (source.name in mix.min_weights or source.name in mix.max_weights)
    ]
    return (*asked, *limited)


def phased(train: Train, sources: Sequence[Source]) -> Train:
    """The same run with every phase's weights over parts."""
    phases = tuple(
        phase if phase.weights == "mixture" else phase.model_copy(update={"weights": spread(phase.weights, sources)})
        for phase in train.phases
    )
    return train.model_copy(update={"phases": phases})


def refuse_taken_names(sources: Sequence[Source]) -> None:
    """Raises ValueError for a part whose name another source, or a part of another, has."""
    owner = {source.name: source.name for source in sources}
    for source in sources:
        if source.domains == 1:
            continue
        for part in source.parts:
            if part in owner:
                raise ValueError(
                    f"sources.{source.name}.domains = {source.domains} makes a source {part!r}, which is a name of "
                    f"{owner[part]!r} already; rename one of them"
                )
            if len(part) > 64:
                raise ValueError(f"sources.{source.name}.domains: {part!r} is longer than 64; give a shorter name")
            owner[part] = source.name


def refuse_overlap(place: str, names: Collection[str], sources: Sequence[Source]) -> None:
    """Raises ValueError where a table names a split source and parts of it."""
    for source in sources:
        both = [part for part in source.parts if part in names and part != source.name]
        if source.name in names and both:
            raise ValueError(f"{place} names {source.name} and its part {both[0]}; name the whole or parts of it")


def refuse_narrow(mix: Mix, sources: Sequence[Source]) -> None:
    """Raises ValueError where limits on a split source leave its parts too little room to be limits of a group."""
    for source in sources:
        low, high = mix.min_weights.get(source.name, 0.0), mix.max_weights.get(source.name, 1.0)
        if source.domains > 1 and high - low < LEAST_ROOM:
            raise ValueError(
                f"mix.max_weights.{source.name} = {high:g} must be {LEAST_ROOM} or more above its minimum {low:g}, "
                f"since it limits the sum of {source.domains} parts; widen it, limit the parts, or take the source out"
            )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
