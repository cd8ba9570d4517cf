"""One spelling for equal texts: NFC, `\\n` line ends, no control characters, no white space at the ends."""

import re
import unicodedata
from collections.abc import Sequence

from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit
from orfevre.kernels import spelling

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Unicode category Cc except tab and newline (a form feed or a lone carriage return does not survive either)."""


def step(unit: Unit) -> Step:
    return _normalise_all


def _normalise_all(drafts: Sequence[Draft]) -> None:
    """Most texts are spelled as they should be: one pass of a kernel over their UTF-8 says which need a look."""
    whole = [draft for draft in drafts if _has_utf8(draft)]
    for draft, found in zip(whole, spelling.flags([draft.encoded for draft in whole]).tolist(), strict=True):
        text = normalise(draft.text) if found else draft.text.strip()
        if text != draft.text:
            draft.respell(text)


def _has_utf8(draft: Draft) -> bool:
    try:
        return draft.encoded is not None
    except UnicodeEncodeError as error:
        draft.drop = Drop("broken_record", f"lone surrogate at character {error.start + 1}")
        return False


def normalise(text: str) -> str:
    """See the module."""
    text = text.removeprefix("\ufeff")  # a byte order mark that was decoded as text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROL.search(text):
        text = _CONTROL.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.strip()
