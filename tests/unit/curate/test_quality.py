"""Sets of quality rules: each reason at its threshold, French text, lists of bad words, and what a source chooses."""

from pathlib import Path

import pytest

from orfevre.curate.draft import Draft
from orfevre.curate.quality import Judge, judge_of
from orfevre.data.readers.record import Facts
from orfevre.errors import InputError
from orfevre.kernels import quality as kernel
from orfevre.recipe import Quality, Source

ENGLISH = "The house of the miller stood {} to the north of the river and that was all they knew.\n"
FRENCH = "L’homme qui vivait {} dans la maison du meunier n’avait rien dit à la dame de la ville.\n"


ALWAYS = {
    "min_chars": 1, "min_letter_fraction": 0, "min_mean_word_length": 0, "max_mean_word_length": 1e6,
    "max_duplicate_line_fraction": 1,
}  # fmt: skip
"""The rules that always hold stand aside."""


def judge(language: str = "en", sets: tuple[str, ...] | None = None, **rules: object) -> Judge:
    source = Source.model_validate(
        {"name": "s", "paths": ["x"], "format": "text", "licence": "CC0-1.0", "language": language, "quality": sets}
    )
    return judge_of(Quality.model_validate({**ALWAYS, **rules}), source)


def judged(text: str, judge: Judge, is_code: bool = False) -> Draft:
    draft = Draft("here", text, Facts(), is_code, "en")
    judge([draft])
    return draft


def reason(text: str, sets: str, language: str = "en", is_code: bool = False, **rules: object) -> str | None:
    drop = judged(text, judge(language, (sets,), **{sets: rules}), is_code).drop
    return drop.reason if drop else None


def prose(pattern: str = ENGLISH, lines: int = 8) -> str:
    places = ["alone", "far", "near", "high", "low", "proud", "still", "white", "dark", "lost", "calm", "old"]
    return "".join(pattern.format(f"{place} {number}") for number, place in enumerate(places[:lines]))


@pytest.fixture(params=["kernel", "twin"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "twin":
        monkeypatch.setattr(kernel, "_library", lambda: None)


DISTINCT = (
    "A wide river crossed the plain, and its banks were the work of many floods. Farmers have built their barns with "
    "stone that came from the hills. To be sure of a harvest they watch the sky each morning. Nobody could say when "
    "the mill had last turned. Some children believed in ghosts there! Would you have gone inside?"
)


def test_sound_text_passes_every_set() -> None:
    draft = judged(DISTINCT, judge("en", ("gopher_repetition", "gopher_quality", "c4", "fineweb")))
    assert draft.drop is None and draft.text == DISTINCT and not draft.edits


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One.\n\nTwo.\n\nOne.\n\nOne.", "duplicate_paragraphs"),
        ("A long paragraph that is long.\n\n" + "b\n\nc\n\nd\n\n" + "A long paragraph that is long.",
         "duplicate_paragraph_chars"),
        ("one\ntwo\none\none", "duplicate_lines"),
        ("a line that is the longest one\nb\nc\nd\na line that is the longest one", "duplicate_line_chars"),
        ("spam spam spam spam spam spam spam spam", "top_2_gram"),
        (DISTINCT, None),
        (DISTINCT + " " + DISTINCT, "duplicate_5_gram"),
    ],
)  # fmt: skip
def test_gopher_repetition(text: str, found: str | None) -> None:
    assert reason(text, "gopher_repetition") == found


def test_a_threshold_of_gopher_repetition_is_the_recipes() -> None:
    text = "one\ntwo\nthree\none"  # a quarter of the lines
    loose = {"max_duplicate_line_chars": 1.0, "max_top_grams": (1, 1, 1)}
    assert reason(text, "gopher_repetition", max_duplicate_lines=0.24, **loose) == "duplicate_lines"
    assert reason(text, "gopher_repetition", max_duplicate_lines=0.25, **loose) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DISTINCT, None),
        ("Short and of the sort.", "few_words"),
        ("a " * 60 + "the of", "short_words"),
        ("incomprehensibilities " * 60, "long_words"),
        (DISTINCT.replace(" a ", " # ").replace(" the ", " # ").replace(" of ", " # "), "many_hashes"),
        (DISTINCT.replace(" the ", " ... ").replace(" of ", "… "), "many_ellipses"),
        ("\n".join(f"- {line} and more of the words" for line in DISTINCT.split(".")), "bullet_lines"),
        ("...\n".join(DISTINCT.split(" with ")), "ellipsis_lines"),
        (DISTINCT + " 1234 5678" * 20, "few_alphabetic_words"),
        ("word other bread water stone " * 12, "few_stop_words"),
    ],
)
def test_gopher_quality(text: str, found: str | None) -> None:
    assert reason(text, "gopher_quality", max_symbols_per_word=0.05, min_mean_word_length=2.5) == found


def test_stop_words_are_the_languages() -> None:
    text = "l'homme d'honneur aimait beaucoup cette maison perdue loin derrière notre colline boisée " * 5
    assert reason(text, "gopher_quality", "fr") is None  # l' and d' are words of their own
    assert reason(text, "gopher_quality", "en") == "few_stop_words"
    assert reason(text, "gopher_quality", "und") is None and reason(text, "gopher_quality", "fi") is None
    assert reason(DISTINCT, "gopher_quality", "fr") == "few_stop_words"


def test_c4_keeps_sentences_and_counts_what_it_took() -> None:
    text = "Home | About | Contact\n" + prose() + "This site needs JavaScript to be seen by you.\nSee the work.[12]\n"
    draft = judged(text, judge("en", ("c4",)))
    assert draft.drop is None and draft.text == prose() + "See the work."
    assert draft.edits == {"c4_line": 2, "c4_citation": 1} and draft.encoded == draft.text.encode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (prose(lines=4), "few_sentences"),
        (prose() + "Lorem Ipsum dolor sit amet.", "lorem_ipsum"),
        (prose() + "if (x) { return the value.", "curly_bracket"),
        (prose() + "if (x) { return", None),  # the line goes before its bracket is looked at
    ],
)
def test_c4_drops(text: str, found: str | None) -> None:
    assert reason(text, "c4") == found


def test_french_lines_end_in_guillemets() -> None:
    line = "« Il faut partir avant la nuit », dit-elle, « sinon tout sera perdu pour nous ! »\n"
    text = "".join(f"{number} {line}" for number in range(6))
    assert judged(text, judge("fr", ("c4",))).drop is None
    assert judged(text, judge("fr", ("c4",))).text == text.strip()
    dropped = judged(text, judge("en", ("c4",))).drop
    assert dropped and dropped.reason == "few_sentences"
    assert reason(text, "fineweb", "fr") is None and reason(text, "fineweb", "en") == "few_ended_lines"
    assert judged(prose(FRENCH), judge("fr", ("gopher_quality", "c4", "fineweb"))).drop is None


def test_a_text_that_c4_leaves_too_short_is_dropped() -> None:
    rules = judge("en", ("c4",), min_chars=1000)
    draft = judged(prose() + "menu item of no end\n" * 40, rules)
    assert draft.drop and draft.drop.reason == "too_short"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\n".join(f"{number} is the number of this row of words" for number in range(10)), "few_ended_lines"),
        ("\n".join(f"Row {number}." for number in range(9)), "short_lines"),
        (prose() + ENGLISH.format("x") * 2, "duplicate_chars"),
        ("\n".join(f"{number}{'word' * 10}." for number in range(9)), "list"),
        (prose(), None),
    ],
)
def test_fineweb(text: str, found: str | None) -> None:
    assert reason(text, "fineweb") == found


def test_fineweb_sees_what_c4_left() -> None:
    menu = "".join(f"Menu {number}\n" for number in range(40))
    assert reason(menu + prose(), "fineweb") == "few_ended_lines" or reason(menu + prose(), "fineweb") == "short_lines"
    assert judged(menu + prose(), judge("en", ("fineweb", "c4"))).drop is None


CODE = "def add(left, right):\n    return left + right\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CODE, None),
        (CODE + "x" * 1001, "long_line"),
        ("\n".join("value = " + "word " * 20 for _ in range(9)), "long_lines"),
        ("+-*/()[]{}\n" * 9 + "ab", "few_alphanumerics"),
        (CODE + "KEY = '" + "QUJDRA" * 20 + "'\n", "encoded_data"),
        (CODE * 200 + ("ABCDabcd" * 8 + "\n") * 3 + "0x00, 0x01, 0x02, 0x03,\n" * 60, "encoded_data"),
        ("# This file is generated by a tool.\n" + CODE, "generated"),
        ('<?xml version="1.0"?>\n' + CODE, "xml"),
    ],
)
def test_starcoder(text: str, found: str | None) -> None:
    assert reason(text, "starcoder", is_code=True) == found


def test_bad_words(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("miller's\nNorth of the river\n🖕\n", encoding="utf-8")
    bad = {"bad_words": str(words)}
    drop = judged(prose(), judge("en", ("c4",), c4=bad)).drop
    assert drop and (drop.reason, drop.detail) == ("bad_words", "north of the river")
    calm = prose().replace("north of", "north  of")  # another spelling, and `miller` alone, are not listed
    assert judged(calm, judge("en", ("c4",), c4=bad)).drop is None
    with pytest.raises(InputError, match=r"bad_words: .*absent"):
        judge("en", ("c4",), c4={"bad_words": str(tmp_path / "absent")})


def test_a_source_chooses_its_sets() -> None:
    assert judge("en", None, rules=("c4",)).sets == ("c4",)
    assert judge("en", (), rules=("c4",)).sets == ()
    assert judge("en", ("fineweb", "gopher_quality")).sets == ("gopher_quality", "fineweb")  # in the order of the page
    with pytest.raises(ValueError, match="quality"):
        judge("en", ("pile",))


def test_too_many_stop_words_are_refused() -> None:
    with pytest.raises(ValueError, match="65 different stop words"):
        judge(gopher_quality={"stop_words": {"xx": [f"w{number}" for number in range(65)]}})


def test_a_text_without_words_is_judged() -> None:
    sets = ("gopher_repetition", "gopher_quality", "c4", "fineweb", "starcoder")
    for text in ("!", "\u2028", " ", "a"):
        for name in sets:
            judged(text, judge("en", (name,), gopher_quality={"min_words": 0}, c4={"min_sentences": 0}))
