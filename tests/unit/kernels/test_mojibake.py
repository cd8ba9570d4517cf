"""The kernel suspects the lines its Python twin suspects, on any bytes, and no ordinary text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orfevre.kernels import mojibake

needs_kernel = pytest.mark.skipif(mojibake._library() is None, reason="the C kernels are not built here")

CHARS = st.one_of(
    st.sampled_from("ÂÃéàÉœŒ «»’“”…—€™©°√≈ìŽš\x80\x9f\u00a0\u202fвЂРїλ日😀│─ab \n\u0178ĸň"),
    st.characters(codec="utf-8"),
)


def check(texts: list[bytes]) -> None:
    found = mojibake.find(texts).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mojibake, "_library", lambda: None)
        assert found == mojibake.find(texts).tolist()


@needs_kernel
@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(CHARS, max_size=12).map("".join), max_size=3))
def test_kernel_equals_its_twin(texts: list[str]) -> None:
    check([text.encode() for text in texts])


@needs_kernel
@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=3))
def test_kernel_equals_its_twin_on_any_bytes(texts: list[bytes]) -> None:
    check(texts)


@needs_kernel
def test_kernel_equals_its_twin_on_every_pair_of_kinds() -> None:
    marks = "¢«»Ãéß×÷ŁłŸŹœʰ\u0301λЖא日\u2003‐’‚•…€─░\ufeff\u3000😀"
    check([f"{left}{right}".encode() for left in marks for right in marks])
    check([f"x{chr(point)}€ É{chr(point)} é{chr(point)}".encode() for point in range(0xA0, 0x3100)])


@pytest.mark.parametrize(
    "text",
    [
        "« L’été, où l’on créa cela… à côté », dit-elle — “voilà” : 50\u00a0€ à l'Œuvre, cœur, ÉTÉ, Noël.",
        "Größe, Übermut und Straße", "El niño dijo: «¿Qué?»", "Zażółć gęślą jaźń", "Příliš žluťoučký kůň",
        "Η ανατροφή — των προπονητών", "Привет, мир", "日本語の文章。", "שלום", "│ a ├──┤ b",
    ],
)  # fmt: skip
def test_ordinary_text_is_not_suspected(text: str) -> None:
    assert mojibake.find([text.encode()]).tolist() == []


def test_the_whole_line_is_given() -> None:
    text = "clean é\nun cafÃ© noir\nclean".encode()
    ((number, begin, end),) = mojibake.find([text]).tolist()
    assert number == 0 and text[begin:end].decode() == "un cafÃ© noir"
