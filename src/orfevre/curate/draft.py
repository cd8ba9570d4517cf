"""A document on its way through the steps of curation, and what a step is.

A step gets a batch of drafts that have no `drop` yet, so that a kernel may see many texts in one call. It may set
`drop`, rewrite the text, or note what it found. `steps.py` says which steps there are and in which order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from orfevre.data.readers.record import Facts


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a document goes: a reason (one of docs/reference/artefacts.md) and the figure behind it."""

    reason: str
    detail: str


@dataclass(slots=True)
class Draft:
    """One document. Change `text` through `rewrite`, so that `encoded` follows."""

    location: str
    text: str
    facts: Facts
    is_code: bool
    language: str
    """ISO 639-1 code, `und`, or a programming language; at first what the source declares."""

    language_confidence: float = 0.0
    licence: str = ""
    quality: float | None = None
    """Score of the classifier, 0 to 1."""

    edits: dict[str, int] = field(default_factory=dict)
    """What was done to the text, by kind: `{"email": 2, "mojibake": 1}`."""

    drop: Drop | None = None
    _encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """The text's UTF-8. Raises UnicodeEncodeError for a lone surrogate (refused right after normalising)."""
        if self._encoded is None:
            self._encoded = self.text.encode()
        return self._encoded

    def respell(self, text: str) -> None:
        """Replace the text by an equal one in another spelling, which is no edit worth counting."""
        self.text, self._encoded = text, None

    def rewrite(self, text: str, kind: str, count: int = 1) -> None:
        """Replace the text and count what was done."""
        self.respell(text)
        self.edits[kind] = self.edits.get(kind, 0) + count


Step: TypeAlias = Callable[[Sequence[Draft]], None]
"""Looks at a batch of drafts without `drop`; sets `drop` or rewrites in place."""
