"""Languages are told apart, what cannot be told is not claimed, and the confidence is a probability."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.curate import language, language_decision, language_fasttext, language_signals
from orfevre.curate.draft import Draft
from orfevre.curate.language_codes import base, is_prose_language, same
from orfevre.curate.language_decision import Detected
from orfevre.curate.units import Unit
from orfevre.data.readers.record import NOTHING_SAID
from orfevre.errors import InputError, RecipeError, UserError
from orfevre.kernels import automaton, automaton_numpy
from orfevre.recipe import Curate, Language, Source

FRENCH = "Il était une fois un bûcheron et une bûcheronne qui avaient sept enfants, tous garçons. " * 3
ENGLISH = "Once upon a time there was a woodcutter and his wife who had seven children, all boys. " * 3
GERMAN = "Es war einmal ein armer Holzhacker, der wohnte mit seiner Frau und seinen Kindern am Walde. " * 3
NONSENSE = "Qorvex dulmith anguur zhef, polkrat wen ixumab tral hojvid; strumple nakwoz eebrith fongal. " * 3


def draft(text: str, declared: str = "en", is_code: bool = False) -> Draft:
    return Draft("here", text, NOTHING_SAID, is_code, declared)


def run(drafts: list[Draft], source_language: str = "en", **rules: object) -> list[Draft]:
    source = Source(name="s", paths=("x",), format="text", licence="CC0-1.0", language=source_language)
    unit = Unit(source, (), Curate(language=Language.model_validate(rules)), Path(), Path())
    identify = language.step(unit)
    assert identify is not None
    identify(drafts)
    return drafts


def test_languages_are_told_apart() -> None:
    found = language_decision.detect([FRENCH, ENGLISH, GERMAN])
    assert [one.code for one in found] == ["fr", "en", "de"]
    assert all(one.confidence > 0.9 for one in found)


def test_what_is_no_language_is_not_claimed() -> None:
    assert language_decision.detect(["12 345 -- 6", ""]) == [Detected("und", 0.0)] * 2
    assert language_decision.detect([NONSENSE])[0].confidence < 0.7


def test_a_batch_gives_what_each_text_gives_alone() -> None:
    texts = [FRENCH, "ok", ENGLISH * 50, NONSENSE, "", "Привет, как дела?"]
    assert language_decision.detect(texts) == [language_decision.detect([text])[0] for text in texts]


@settings(deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60), max_size=3))
def test_no_text_makes_the_detector_raise(texts: list[str]) -> None:
    assert all(0.0 <= found.confidence <= 1.0 for found in language_decision.detect(texts))


@pytest.mark.parametrize("noise", ["\ufffe", "\U0001ffff", "\ue000", "\ufdd0"])
def test_characters_that_cld2_refuses_are_set_aside(noise: str) -> None:
    assert language_decision.detect([FRENCH + noise + FRENCH])[0].code == "fr"


def test_a_long_text_is_seen_all_over() -> None:
    long = "a" * 5_000 + "b" * 5_000
    seen = language_signals.sample(long)
    assert len(seen) <= language_signals.WINDOWS * (language_signals.WINDOW_CHARS + 1)
    assert seen.startswith("a") and seen.endswith("b")
    assert language_signals.sample("ABC") == "abc" and language_signals.sample("Abc") == "Abc"


def test_the_model_scores_as_its_own_package_does() -> None:
    import numpy as np
    import py3langid

    own = py3langid.langid.LanguageIdentifier.from_model_file(py3langid.langid.MODEL_FILE)
    model, _, _ = language_signals._model()
    _, columns, _ = language_signals.columns_of(own.nb_classes)
    scores, _, _ = model.scores([FRENCH.encode(), "Привет".encode()])
    for row, text in zip(scores, (FRENCH, "Привет"), strict=True):
        np.testing.assert_allclose(
            row[: len(columns)] + own.nb_pc[columns],
            own._raw_score(own._encode(text))[columns],
            rtol=1e-4,
            atol=1e-2,
        )


def test_the_kernel_and_its_twin_make_the_same_scores() -> None:
    import numpy as np

    model, _, _ = language_signals._model()
    texts = [FRENCH.encode(), b"", b"\xff\xfe\x00" * 9, ENGLISH.encode() * 3]
    for ours, twin in zip(
        model.scores(texts), automaton_numpy.scores(model, texts, automaton.logarithms()), strict=True
    ):
        np.testing.assert_array_equal(ours, twin)


def test_an_automaton_that_points_outside_itself_is_refused() -> None:
    import numpy as np

    good = (np.zeros((1, 256), np.uint32), np.zeros(1, np.uint32), np.zeros(1, np.int32), np.zeros((1, 8), np.float16))
    automaton.Automaton(*good)
    for bad in ((good[0] + 1, *good[1:]), (*good[:2], good[2] + 1, good[3]), (*good[:3], good[3][:, :7])):
        with pytest.raises(ValueError, match="do not fit"):
            automaton.Automaton(*bad)


def test_another_language_is_dropped_and_the_own_one_noted() -> None:
    english, french = run([draft(ENGLISH), draft(FRENCH)])
    assert english.drop is None and english.language == "en" and english.language_confidence > 0.9
    assert french.drop is not None and french.drop.reason == "language" and french.drop.detail.startswith("fr ")


def test_mixed_sources_take_every_language() -> None:
    texts = run([draft(ENGLISH, "und"), draft(FRENCH, "und")], "und")
    assert [text.language for text in texts] == ["en", "fr"] and not any(text.drop for text in texts)


def test_the_unknown_is_kept_or_dropped_as_asked() -> None:
    kept, dropped = run([draft(NONSENSE)])[0], run([draft(NONSENSE)], unknown="drop")[0]
    assert kept.drop is None and kept.language == "en"
    assert dropped.drop is not None and dropped.drop.detail.startswith("unknown: ")


def test_code_is_left_alone() -> None:
    source = Source(name="s", paths=("x",), format="code", licence="MIT", language="python")
    assert language.step(Unit(source, (), Curate(), Path(), Path())) is None
    assert run([draft(FRENCH, is_code=True)])[0].drop is None


def test_codes_of_languages() -> None:
    assert all(is_prose_language(code) for code in ("en", "fr", "zh", "und", "no", "nb"))
    assert not any(is_prose_language(code) for code in ("python", "c", "go", "c++", "js"))
    assert same("zh-Hant", "zh") and same("iw", "he") and same("fra_Latn", "fr") and not same("fr", "en")
    assert base("nob") == base("nn") == "no"


def test_a_fasttext_model_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"curate\.language\.fasttext"):
        language_fasttext.check(str(tmp_path / "none.bin"))
    other = tmp_path / "other.bin"
    other.write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a fastText model"):
        language_fasttext.check(str(other))
    if importlib.util.find_spec("fasttext") is None:
        other.write_bytes(language_fasttext.MAGIC)
        with pytest.raises(UserError, match=r"orfevre\[fasttext\]"):
            language_fasttext.check(str(other))


def test_a_fasttext_model_is_asked(tmp_path: Path) -> None:
    fasttext = pytest.importorskip("fasttext", reason="the extra fasttext is not installed")
    lines = [f"__label__{code} {text}" for code, text in (("fra", FRENCH), ("eng", ENGLISH)) for _ in range(20)]
    (tmp_path / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(str(tmp_path / "train.txt"), dim=4, epoch=50, verbose=0)
    model.save_model(str(tmp_path / "lid.bin"))
    english, french = run([draft(ENGLISH), draft(FRENCH)], fasttext=str(tmp_path / "lid.bin"))
    assert english.drop is None and english.language == "en"
    assert french.drop is not None and french.drop.detail.startswith("fr ")
