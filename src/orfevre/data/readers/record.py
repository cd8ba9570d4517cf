"""What a reader yields: the records of a file, and what was broken in it."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Record:
    """A text as it stood in the file, not yet normalised."""

    number: int
    """Place in the file from 1 (for JSON lines the line number); 0 when the file is one document."""

    text: str


@dataclass(frozen=True)
class Broken:
    """A file, or a part of one, that is no record. Counted as read and as dropped."""

    number: int
    """As in Record; 0 for the file as a whole."""

    reason: str
    """`unreadable`, `undecodable`, `broken_record` or `too_long`."""

    detail: str
    """Where and why, for people."""

    num_bytes: int = 0
    """Raw bytes of the broken thing, where known."""

    text: str | None = None
    """What could be read of it, if anything."""


Item: TypeAlias = Record | Broken
