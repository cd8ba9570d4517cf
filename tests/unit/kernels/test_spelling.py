"""The kernel and its twin say the same of any bytes, and no text that needs another spelling goes unseen."""

import sys
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from orfevre.curate.normalise import normalise
from orfevre.kernels import spelling


@given(st.lists(st.binary(max_size=80), max_size=8))
@example([b"\xe2", b"\xe2\x80", b"\xe2\x80\x82", b"\xc2", b"\xc2\x85", b"\x00", b""])
def test_kernel_equals_its_twin_on_any_bytes(texts: list[bytes]) -> None:
    assert spelling.flags(texts).tolist() == spelling.flags_python(texts).tolist()


@given(st.text())
def test_what_is_not_flagged_is_spelled_as_it_should_be(text: str) -> None:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return
    if not spelling.flags([encoded])[0]:
        assert normalise(text) == text.strip()


def test_every_character_after_a_letter() -> None:
    """After a letter, where composition looks back; what is not in NFC alone is not there either."""
    texts = ["e" + chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for text, found in zip(texts, spelling.flags([text.encode() for text in texts]).tolist(), strict=True):
        if not found & spelling.COMPOSE:
            assert unicodedata.is_normalized("NFC", text)
        control = unicodedata.category(text[-1]) == "Cc" and text[-1] not in "\t\n"
        assert bool(found & spelling.CONTROL) == control
