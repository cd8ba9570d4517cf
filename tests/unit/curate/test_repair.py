"""Mojibake is mended, counted, and nothing else is touched."""

import json
from pathlib import Path

import pytest

from orfevre.curate import repair
from orfevre.curate.draft import Draft
from orfevre.curate.units import Unit
from orfevre.data.readers.record import Facts
from orfevre.kernels import mojibake
from orfevre.recipe import Curate, Source
from places import ROOT

MESSY = ROOT.parent / "shared" / "data" / "messy"


def draft(text: str, is_code: bool = False) -> Draft:
    return Draft("here", text, Facts(), is_code, "fr")


def mended(text: str) -> str:
    given = draft(text)
    repair.mend([given])
    return given.text


@pytest.fixture(params=["kernel", "twin"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "twin":
        monkeypatch.setattr(mojibake, "_library", lambda: None)


SENTENCE = "Où l’été s’achève, la forêt — « si belle » — rougit : 50 € d’œufs à Noël."


@pytest.mark.parametrize("codec", ["latin-1", "sloppy-windows-1252", "macroman", "cp437"])
def test_what_was_decoded_wrongly_is_mended(codec: str) -> None:
    import ftfy.bad_codecs  # noqa: F401  # registers the sloppy codecs

    wrong = SENTENCE.encode().decode(codec)
    assert wrong != SENTENCE and mended(wrong) == SENTENCE


def test_only_wrong_lines_change_and_are_counted() -> None:
    wrong = "Le cafÃ© est prÃªt."
    given = draft(f"Un “mot” ﬁn, ｗｉｄｅ &amp; l’été.\n{wrong}\nFin…\n{wrong}")
    repair.mend([given])
    assert given.text == "Un “mot” ﬁn, ｗｉｄｅ &amp; l’été.\nLe café est prêt.\nFin…\nLe café est prêt."
    assert given.edits == {"mojibake": 2} and given.encoded == given.text.encode()


def test_clean_text_is_the_same_object() -> None:
    given = draft(SENTENCE)
    text = given.text
    repair.mend([given])
    assert given.text is text and not given.edits


def test_lone_surrogates_pass_through() -> None:
    assert mended("cafÃ© \ud800") in ("cafÃ© \ud800", "café \ud800")


def step_of(**rules: bool) -> repair.Step | None:
    source = Source.model_validate(
        {"name": "s", "paths": ["x"], "format": "text", "licence": "CC0-1.0", "language": "fr"}
    )
    curate = Curate.model_validate({"repair": rules})
    return repair.step(Unit(source=source, files=(), curate=curate, folder=Path("none"), prepared=Path("none")))


def test_the_recipe_decides() -> None:
    assert step_of(mojibake=False) is None
    both, text = step_of(html_entities=True), "cafÃ© &amp; th&eacute; &nothing; a&b;"
    assert both is not None
    prose, code = draft(text), draft(text, is_code=True)
    both([prose, code])
    assert prose.text == "café & thé &nothing; a&b;"
    assert prose.edits == {"mojibake": 1, "html_entity": 2} and code.text == text and not code.edits


@pytest.mark.parametrize("name", ["in-the-wild", "negative", "language-names"])
def test_ftfys_own_cases(name: str) -> None:
    path = MESSY / f"mojibake_ftfy_{name}.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    for case in json.loads(path.read_text(encoding="utf-8")):
        if case["expect"] == "pass":
            assert mended(case["original"]) == case.get("fixed-encoding", case["fixed"])
