"""What [curate.dedup] refuses."""

import pytest

from orfevre import recipe
from orfevre.recipe import Dedup, Recipe

TABLE = {
    "name": "r",
    "sources": [{"name": "prose", "paths": ["a"], "format": "text", "licence": "MIT", "language": "en"}],
    "mix": {"target": {"prose": 1.0}},
}


def test_priorities_are_sources() -> None:
    assert Recipe.model_validate(TABLE | {"curate": {"dedup": {"priority": ["prose"]}}}).source_names == ("prose",)
    with pytest.raises(ValueError, match=r"curate\.dedup\.priority: 'verse' is not a source; the sources are prose"):
        Recipe.model_validate(TABLE | {"curate": {"dedup": {"priority": ["verse"]}}})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"keep": ["length", "length"]}, "keep names 'length' twice"),
        ({"keep": ["beauty"]}, "keep"),
        ({"jaccard": 0.4}, "group_jaccard 0.5 must not exceed jaccard 0.4"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Dedup.model_validate(fields)
    assert recipe.Dedup().keep == ("source", "quality", "length")
