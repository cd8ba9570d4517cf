"""One spelling for equal texts: NFC, `\\n` line ends, no control characters, no white space at the ends."""

import re
import unicodedata
from collections.abc import Sequence

from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Unicode category Cc except tab and newline (a form feed or a lone carriage return does not survive either)."""


def step(unit: Unit) -> Step:
    return _normalise_all


def _normalise_all(drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        text = normalise(draft.text)
        if text is not draft.text:
            draft.respell(text)
        try:
            draft.encoded  # noqa: B018  # UTF-8 is made once, here, and found wanting here
        except UnicodeEncodeError as error:
            draft.drop = Drop("broken_record", f"lone surrogate at character {error.start + 1}")


def normalise(text: str) -> str:
    """See the module. Lone surrogates are left for the caller to refuse: they have no UTF-8."""
    text = text.removeprefix("\ufeff")  # a byte order mark that was decoded as text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROL.search(text):
        text = _CONTROL.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.strip()
