"""What a recipe says of a source that is split, over its parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.recipe import Recipe

BASE = {"paths": ["a"], "format": "text", "licence": "MIT", "language": "en"}


def asked(domains: int = 3, others: tuple[str, ...] = ("books",), **more: Any) -> Recipe:
    sources = [{"name": "web", "domains": domains, "description": "A crawl.", **BASE}]
    sources += [{"name": name, **BASE} for name in others]
    return Recipe.model_validate({"name": "r", "sources": sources, "mix": {"target": {"web": 1.0}}} | more)


@given(domains=st.integers(1, 64), share=st.floats(0.0, 1.0))
def test_parts_stand_in_place_of_the_source(domains: int, share: float) -> None:
    made = asked(domains, mix={"target": {"web": share, "books": 1 - share}})
    assert len(set(made.source_names)) == domains + 1 and made.source_names[-1] == "books"
    assert [made.source(name).name for name in made.source_names] == list(made.source_names)
    assert {made.whole(name).name for name in made.source_names[:-1]} == {"web"}
    assert sum(made.target.values()) == pytest.approx(1.0) and set(made.target) == set(made.source_names)
    assert all(made.target[name] == pytest.approx(share / domains) for name in made.source_names[:-1])
    assert [source.name for source in made.sources] == ["web", "books"]
    assert Recipe.model_validate(made.model_dump(mode="json")) == made


def test_a_whole_source_is_what_it_was() -> None:
    made = asked(1, mix={"target": {"web": 1.0}, "max_weights": {"web": 0.5}})
    assert made.source_names == ("web", "books") and made.target == made.mix.target
    assert made.groups == () and made.phased == made.train and made.source("web") is made.sources[0]


def test_a_part_tells_what_it_is_a_part_of() -> None:
    part = asked().source("web_2")
    assert (part.name, part.domains, part.licence) == ("web_2", 1, "MIT")
    assert part.description == "A crawl. (part 2 of 3 of web, by topic)"


def test_limits_of_the_whole_are_a_group_and_members_are_parts() -> None:
    limits = {"max_weights": {"web": 0.6, "web_1": 0.3}, "min_weights": {"books": 0.1}}
    limits.pop("min_weights")
    with pytest.raises(ValueError, match=r"mix\.max_weights names web and its part web_1"):
        asked(mix={"target": {"web": 1.0}, **limits})
    mix = {
        "target": {"web_1": 0.5, "books": 0.5},
        "max_weights": {"web": 0.6},
        "min_weights": {"web_1": 0.1},
        "groups": [{"name": "english", "sources": ["books", "web"], "max_weight": 0.9}],
    }
    english, web = asked(mix=mix).groups
    assert english.sources == ("books", "web_1", "web_2", "web_3")
    assert (web.name, web.sources, web.min_weight, web.max_weight) == ("web", ("web_1", "web_2", "web_3"), 0.0, 0.6)
    assert asked(mix=mix).target == {"web_1": 0.5, "books": 0.5}


def test_phases_are_divided_too() -> None:
    phases = [{"until": 0.5}, {"until": 1.0, "weights": {"web": 0.6, "books": 0.4}}]
    first, second = asked(train={"phases": phases}).phased.phases
    assert first.weights == "mixture"
    assert second.weights == pytest.approx({"web_1": 0.2, "web_2": 0.2, "web_3": 0.2, "books": 0.4})


@pytest.mark.parametrize(
    ("others", "more", "said"),
    [
        (("web_2",), {}, r"sources\.web\.domains = 3 makes a source 'web_2', which is a name of 'web_2' already"),
        (("books",), {"mix": {"target": {"web_4": 1.0}}}, r"mix\.target\.web_4 is not a source.*web, web_1, web_2"),
        (
            ("books",),
            {"mix": {"target": {"web": 0.5, "web_1": 0.5}}},
            r"mix\.target names web and its part web_1; name the whole or parts of it",
        ),
        (
            ("books",),
            {"mix": {"target": {"web": 1.0}, "max_weights": {"web": 0.0}}},
            r"mix\.max_weights\.web = 0 must be 0\.01 or more above.*limit the parts",
        ),
        (
            ("books",),
            {"mix": {"target": {"web": 1.0}, "groups": [{"name": "web_1", "sources": ["books"]}]}},
            "'web_1' names a source or another group",
        ),
        (("books",), {"curate": {"dedup": {"priority": ["web_1"]}}}, r"priority: 'web_1' is not a source"),
        (("books",), {"curate": {"classifier": {"good": ["web_1"], "ordinary": ["web"]}}}, r"good names 'web_1'"),
        (
            ("books",),
            {"train": {"phases": [{"until": 1.0, "weights": {"web": 0.5, "web_1": 0.5}}]}},
            r"train\.phases names web and its part web_1",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(others: tuple[str, ...], more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        asked(3, others, **more)
