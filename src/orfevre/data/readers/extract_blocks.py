"""A page's lines, as Resiliparse leaves them, and what can be seen in each: its length, its links, its neighbours.

`extract.py` weighs these features to tell main text from what surrounds it.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MARK = re.compile(r"<[^>]+>")
_PRE = re.compile(r"(<pre>.*?(?:</pre>|\Z))", re.DOTALL)
_LINK = re.compile(r"<a [^>]*>(.*?)</a>")
_WORD = re.compile(r"[^\W\d_]+")
_DATE = re.compile(r"\b\d{1,2}[./]\s?\d{1,2}[./]\s?\d{2,4}|\b\d{4}-\d\d-\d\d|\b\d{1,2}:\d\d\b|\b(?:19|20)\d\d\b")
_NOT_DIGITS = re.compile(r"\D+")
_NOT_CAPITALS = re.compile(r"[^A-ZÀ-ÖØ-ÞĀŁŚŻŹ]+")
_SENTENCE = re.compile(r"[.!?。！？।]['\")»”]? ")
_ENDS = frozenset(".!?…\"”“»«'’)。！？।")

_GLUE = frozenset((
    "der", "die", "das", "und", "ist", "nicht", "von", "den", "dem", "ein", "eine", "mit", "auf", "für", "im", "zu",
    "sich", "als", "auch", "the", "and", "of", "to", "is", "in", "that", "for", "with", "on", "was", "as", "it",
    "are", "by", "be", "this", "from", "le", "la", "les", "des", "du", "et", "est", "que", "qui", "dans", "une", "un",
    "pour", "sur", "pas", "par", "avec", "en", "au", "el", "los", "las", "de", "y", "una", "por", "con", "del", "se",
    "es", "para", "i", "w", "na", "z", "do", "się", "nie", "jest", "że", "o", "od", "po", "il", "di", "che", "non",
    "per", "sono", "della", "è", "een", "het", "van", "dat", "niet", "met",
))  # fmt: skip
"""Words that sentences are built with, and lists of links are not: German, English, French, Spanish, Polish, Italian,
Dutch."""

_AROUND = frozenset((
    "comment", "comments", "kommentar", "kommentare", "commentaire", "commentaires", "comentario", "comentarios",
    "komentarz", "komentarze", "related", "read", "lesen", "lire", "leer", "lea", "czytaj", "zobacz", "mehr", "more",
    "plus", "weitere", "weiterlesen", "auch", "aussi", "también", "interessant", "aimerez", "share", "teilen",
    "partager", "compartir", "tweet", "twitter", "facebook", "whatsapp", "instagram", "pinterest", "newsletter",
    "abonnieren", "abonnement", "abonnez", "subscribe", "anmelden", "registrieren", "login", "log", "einloggen",
    "sign", "reply", "antwort", "antworten", "répondre", "posted", "published", "veröffentlicht", "publié",
    "publicado", "author", "autor", "auteur", "von", "by", "par", "tags", "tag", "schlagwörter", "schlagworte",
    "kategorie", "kategorien", "category", "categories", "cookie", "cookies", "datenschutz", "privacy", "copyright",
    "rights", "rechte", "foto", "fotos", "photo", "bild", "bilder", "credit", "quelle", "source", "drucken", "print",
    "email", "mail", "advertisement", "anzeige", "werbung", "publicité", "sponsored", "akismet", "wordpress",
    "zurück", "weiter", "next", "previous", "nächster", "vorheriger", "stories", "story", "artikel", "articles",
    "themen", "topics", "latest", "news", "neueste", "aktuelle", "updated", "aktualisiert", "follow", "folgen",
    "suivez", "jetzt", "click", "klicken", "hier", "here", "download", "contact", "kontakt",
))  # fmt: skip
"""Words of what stands around a text: comments, sharing, further reading, bylines, notices."""


@dataclass(frozen=True, slots=True)
class Block:
    """One line of text."""

    kind: str
    """`h1`, `h`, `p`, `li`, `pre`, or `t` for text in no such element."""

    text: str
    link_chars: int

    spaced: bool = False
    """Whether an empty line stands before it."""


def blocks(marked: str) -> list[Block]:
    """The lines of Resiliparse's `minimal_html` output; a `<pre>` element is one block with its line ends."""
    found: list[Block] = []
    spaced = False
    for part in _PRE.split(marked):
        if part.startswith("<pre>"):
            text = _plain(part).strip("\n")
            if text.strip():
                found.append(Block("pre", text, 0, True))
            spaced = True
            continue
        for line in map(str.strip, part.split("\n")):
            text = _plain(line).strip()
            if text:
                found.append(Block(_kind(line), text, _link_chars(line), spaced))
            spaced = not line or (spaced and not text)
    return found


def join(kept: Iterable[Block]) -> str:
    """The text of blocks: paragraphs apart, items of lists marked."""
    parts: list[str] = []
    for block in kept:
        if parts:
            parts.append("\n\n" if block.spaced else "\n")
        parts.append(f"- {block.text}" if block.kind == "li" else block.text)
    return "".join(parts)


def _plain(marked: str) -> str:
    text = _MARK.sub("", marked) if "<" in marked else marked
    return html.unescape(text) if "&" in text else text


def _kind(line: str) -> str:
    if line.startswith("<h"):
        return "h1" if line.startswith("<h1") else "h"
    return "p" if line.startswith("<p>") else "li" if line.startswith("<li>") else "t"


def _link_chars(line: str) -> int:
    return sum(len(_MARK.sub("", inner)) for inner in _LINK.findall(line)) if "<a " in line else 0


OWN = (
    "one", "log_length", "log_length_squared", "link_share", "all_link", "heading", "h1", "paragraph", "item", "loose",
    "verbatim", "ends_sentence", "ends_colon", "sentences", "glue_share", "around", "around_short", "date",
    "digit_share", "capital_share", "repeated", "short", "strong",
)  # fmt: skip
PLACE = ("before_text", "after_text", "distance")
SEEN_BESIDE = ("log_length", "link_share", "heading", "item", "glue_share", "around", "short", "strong")
CROSSED = (
    ("heading", "strong+1"), ("heading", "log_length+1"), ("heading", "after_text"), ("before_text", "short"),
    ("after_text", "short"), ("before_text", "log_length"), ("after_text", "log_length"), ("after_text", "link_share"),
    ("item", "link_share"), ("item", "item-1"), ("item", "log_length"), ("around", "log_length"),
    ("after_text", "around"),
)  # fmt: skip
NAMES = (
    *OWN,
    *PLACE,
    *(f"{name}{place:+d}" for place in (-1, 1, -2, 2) for name in SEEN_BESIDE),
    *("*".join(pair) for pair in CROSSED),
)
"""Features of a block, in the order of the columns of `features`; `short+1` is `short` of the next block."""


def features(found: Sequence[Block]) -> NDArray[np.float64]:
    """[blocks, len(NAMES)]."""
    counted = Counter(block.text for block in found)
    own = np.array([_own(block, counted[block.text] > 1) for block in found], dtype=np.float64)
    columns: dict[str, NDArray[np.float64]] = {name: own[:, index] for index, name in enumerate(OWN)}
    columns |= _places(columns["strong"])
    for step in (-1, 1, -2, 2):
        for name in SEEN_BESIDE:
            columns[f"{name}{step:+d}"] = _shifted(columns[name], step)
    for left, right in CROSSED:
        columns[f"{left}*{right}"] = columns[left] * columns[right]
    return np.stack([columns[name] for name in NAMES], axis=1)


def _own(block: Block, repeated: bool) -> tuple[Any, ...]:
    text, kind = block.text, block.kind
    length = len(text)
    head = text[:160]
    words = [word.lower() for word in _WORD.findall(head)]
    glue = sum(word in _GLUE for word in words) / len(words) if words else 0.0
    around = any(word in _AROUND for word in words)
    links = min(1.0, block.link_chars / length)
    sentences = len(_SENTENCE.findall(text[:1000])) if length > 20 else 0
    ends = text[-1] in _ENDS
    strong = kind == "pre" or (length >= 100 and links < 0.35 and (sentences > 0 or ends))
    log = float(np.log(length))
    return (
        1.0, log, log * log, links, links > 0.9, kind[0] == "h", kind == "h1", kind == "p", kind == "li", kind == "t",
        kind == "pre", ends, text[-1] == ":", min(sentences, 5), min(glue, 0.6), around, around and length < 60,
        _DATE.search(head) is not None, len(_NOT_DIGITS.sub("", head)) / len(head),
        len(_NOT_CAPITALS.sub("", head)) / len(head), repeated, length < 25, strong,
    )  # fmt: skip


def _places(strong: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Where each block stands to the blocks that are surely text."""
    index = np.arange(len(strong))
    sure = np.flatnonzero(strong)
    if not len(sure):
        nothing = np.zeros(len(strong))
        return {"before_text": nothing, "after_text": nothing, "distance": nothing + 2.0}
    right = np.searchsorted(sure, index)
    after = np.where(right < len(sure), sure[np.minimum(right, len(sure) - 1)] - index, len(strong))
    before = np.where(right > 0, index - sure[np.maximum(right - 1, 0)], len(strong))
    return {
        "before_text": (index < sure[0]).astype(np.float64),
        "after_text": (index > sure[-1]).astype(np.float64),
        "distance": np.log1p(np.minimum(after, before)),
    }


def _shifted(column: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """The column of the block `step` places further on; 0 beyond the page's ends."""
    moved = np.zeros_like(column)
    if abs(step) < len(column):
        if step > 0:
            moved[:-step] = column[step:]
        else:
            moved[-step:] = column[:step]
    return moved
