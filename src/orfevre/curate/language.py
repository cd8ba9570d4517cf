"""Which language a text is in, by CLD2 (docs/decisions/language-id.md), and which languages are prose."""

from collections.abc import Sequence
from dataclasses import dataclass

from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.units import Unit

MAX_CHARS = 50_000
"""CLD2 sees this much of a text, from its middle: enough to be sure, whatever the length."""

UNDETERMINED = "und"

_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en "
    "eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv "
    "ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne "
    "ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st "
    "su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
"""ISO 639-1."""

_ISO_639_1 = frozenset(_CODES.split())

_RENAMED = {"iw": "he", "jw": "jv", "in": "id", "ji": "yi", "un": UNDETERMINED, "nb": "no", "nn": "no", "fil": "tl"}
"""CLD2's older codes, and the written forms of Norwegian, which it does not tell apart."""


@dataclass(frozen=True)
class Detected:
    code: str
    """ISO 639 code, `und` when CLD2 cannot tell."""

    confidence: float
    """Share of the text in that language, 0 to 1; 0 when CLD2 calls its own answer unreliable."""


def step(unit: Unit) -> Step:
    def identify_all(drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            if not draft.is_code:
                _identify(draft, unit)

    return identify_all


def _identify(draft: Draft, unit: Unit) -> None:
    """Note the language, and drop the document when it is reliably another than the source's."""
    declared = unit.source.language
    found = detect(draft.text)
    if not found.confidence:
        return
    draft.language_confidence = found.confidence
    sure = found.confidence >= unit.curate.language.min_confidence
    if sure:
        draft.language = found.code
        if declared != UNDETERMINED and not same(found.code, declared):
            draft.drop = Drop("language", f"{found.code} {found.confidence:.2f}")


def is_prose_language(code: str) -> bool:
    """Whether a source's `language` is a human one; `python` and the like are not."""
    return code == UNDETERMINED or code in _ISO_639_1


def same(left: str, right: str) -> bool:
    return _base(left) == _base(right)


def detect(text: str) -> Detected:
    """The main language of a normalised text."""
    if len(text) > MAX_CHARS:
        start = (len(text) - MAX_CHARS) // 2
        text = text[start : start + MAX_CHARS]
    reliable, details = _cld2(text)
    code, share = _base(details[0][1]), float(details[0][2]) / 100
    if not reliable or code == UNDETERMINED:
        return Detected(code if reliable else UNDETERMINED, 0.0)
    return Detected(code, share)


def _cld2(text: str) -> tuple[bool, tuple[tuple[str, str, int, float], ...]]:
    import pycld2

    try:
        reliable, _, details = pycld2.detect(text)
    except pycld2.error:  # it takes some valid characters (non-characters, private use) for broken UTF-8
        printable = "".join(char if char.isprintable() else " " for char in text)
        try:
            reliable, _, details = pycld2.detect(printable)
        except pycld2.error:
            return False, (("Unknown", "un", 0, 0.0),)
    return bool(reliable), details


def _base(code: str) -> str:
    base = code.lower().partition("-")[0]
    return _RENAMED.get(base, base)
