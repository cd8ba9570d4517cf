"""What a section of the page is made of. The template knows how each block looks; the sections only say what is in it.

All text is plain: the template escapes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str
    tone: str = ""
    """"", "note" or "warning"."""


@dataclass(frozen=True)
class Card:
    label: str
    value: str
    detail: str = ""
    tone: str = ""
    """"", "good" or "bad"; the words say the same."""


@dataclass(frozen=True)
class Cards:
    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]


@dataclass(frozen=True)
class Table:
    """`numeric` columns are set to the right. `total` is a last row in bold."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    """How many leading columns are words; the first is the row's heading, the rest are numbers."""
    total: Sequence[str] = ()


@dataclass(frozen=True)
class Plot:
    """Drawn twice: for a wide page and for a phone. `draw` takes whether it is the phone's."""

    kind: ClassVar[str] = "plot"
    name: str
    """Name of the file under plots/, and the prefix of the ids in its SVG."""
    title: str
    alt: str
    """What a reader who cannot see it must know."""
    draw: Callable[[bool], "Figure"]
    caption: str = ""


@dataclass(frozen=True)
class Items:
    kind: ClassVar[str] = "items"
    title: str
    lines: Sequence[str]
    tone: str = ""


@dataclass(frozen=True)
class Code:
    """Verbatim text, folded away under `summary` if there is one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


@dataclass(frozen=True)
class Sample:
    kind: ClassVar[str] = "sample"
    prompt: str
    text: str


@dataclass(frozen=True)
class Token:
    """A piece of a text, and what was chosen for it."""

    text: str
    label: str
    """In small letters after it, so that it reads without colour."""
    tone: int
    """Colour, 0 to 7."""
    detail: str
    """Shown when pointed at."""
    tail: str = ""
    """Line ends that follow it."""


@dataclass(frozen=True)
class Tokens:
    """A text in coloured tokens, folded away under `summary` unless `unfolded`."""

    kind: ClassVar[str] = "tokens"
    summary: str
    tokens: Sequence[Token]
    unfolded: bool = False


@dataclass(frozen=True)
class Piece:
    text: str
    changed: bool


@dataclass(frozen=True)
class Sides:
    """Two texts side by side (one below the other on a phone), with what differs marked."""

    kind: ClassVar[str] = "sides"
    left_title: str
    left: Sequence[Piece]
    right_title: str
    right: Sequence[Piece]


@dataclass(frozen=True)
class Link:
    kind: ClassVar[str] = "link"
    text: str
    href: str


Block = Text | Cards | Table | Plot | Items | Code | Sample | Sides | Tokens | Link


@dataclass(frozen=True)
class Section:
    """One heading of the page. `missing` names the stage whose absence leaves it empty."""

    id: str
    title: str
    short: str
    """Its name in the table of contents."""
    blocks: Sequence[Block] = field(default_factory=tuple)
    missing: str = ""
