"""Personal data in texts: emails, phones, IBANs, cards, IP addresses and French social security numbers, masked by a
placeholder such as `<email>` or made a reason to drop the document, as recipe.Personal says kind by kind.

The kernel finds places worth a look; what stands there must pass its checks (personal_numbers.py, identifiers.py).
Where two kinds overlap, the one with the stronger check wins.
"""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orfevre.curate import personal_numbers
from orfevre.curate.draft import Draft, Drop, Step
from orfevre.curate.identifiers import address, iban_length, is_iban
from orfevre.curate.units import Unit
from orfevre.kernels import personal as kernel
from orfevre.recipe import Personal

KINDS = ("iban", "nir", "card", "email", "ip", "phone")
"""From the strongest check to the weakest."""

_EMAIL = re.compile(
    rb"[A-Za-z0-9_%+](?:[A-Za-z0-9._%+'\-]*[A-Za-z0-9_%+\-])?"
    rb"@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])"
)  # fmt: skip
_FILE_ENDINGS = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp", b".css", b".js")
_GAPS = re.compile(rb"[ \-]|\xc2\xa0|\xe2\x80\xaf")


@dataclass(frozen=True, slots=True)
class Found:
    kind: str
    begin: int
    end: int
    """Bytes of the text."""


def step(unit: Unit) -> Step | None:
    rules = unit.curate.personal
    if all(getattr(rules, kind) == "keep" for kind in KINDS):
        return None
    return lambda drafts: _guard(drafts, rules)


def _guard(drafts: Sequence[Draft], rules: Personal) -> None:
    """Mask or drop, as the recipe says."""
    read = [draft for draft in drafts if rules.code or not draft.is_code]
    asked = frozenset(kind for kind in KINDS if getattr(rules, kind) != "keep")
    for draft, found in zip(read, find([draft.encoded for draft in read], asked, rules.private_ips), strict=True):
        if not found:
            continue
        fatal = sorted({each.kind for each in found if getattr(rules, each.kind) == "drop"})
        if fatal:
            draft.drop = Drop("personal_data", ", ".join(fatal))
        else:
            _mask(draft, found)


def _mask(draft: Draft, found: Sequence[Found]) -> None:
    text, parts, place = draft.encoded, [], 0
    for each in found:
        parts += [text[place : each.begin], f"<{each.kind}>".encode()]
        place = each.end
    masked = b"".join([*parts, text[place:]]).decode()
    for kind in sorted({each.kind for each in found}):
        draft.rewrite(masked, kind, sum(each.kind == kind for each in found))


def find(
    texts: Sequence[bytes], kinds: frozenset[str] = frozenset(KINDS), private_ips: bool = False
) -> list[list[Found]]:
    """Personal data of these kinds in UTF-8 texts, in order and without overlap."""
    found: list[list[Found]] = [[] for _ in texts]
    for number, kind, begin, end in kernel.find(texts).tolist():
        found[number].extend(_look(texts[number], kind, begin, end, private_ips))
    return [_apart(each, kinds) for each in found]


def _look(text: bytes, kind: int, begin: int, end: int, private_ips: bool) -> Iterator[Found]:
    if kind == kernel.EMAIL:
        match = _EMAIL.search(text, begin, end)
        if match and not match.group().lower().endswith(_FILE_ENDINGS):
            yield Found("email", match.start(), match.end())
    elif kind == kernel.IBAN:
        stop = _iban_end(text, begin, end)
        if stop:
            yield Found("iban", begin, stop)
    elif kind == kernel.IPV6:
        if _is_ipv6(text[begin:end].decode(), private_ips):
            yield Found("ip", begin, end)
    else:
        for name, start, stop in personal_numbers.find(text, begin, end, private_ips):
            yield Found(name, start, stop)


def _iban_end(text: bytes, begin: int, end: int) -> int:
    """Where the IBAN that begins here ends, 0 when it is none."""
    length, place = iban_length(text[begin : begin + 2].decode()), begin
    compact = bytearray()
    while place < end and len(compact) < length:
        gap = _GAPS.match(text, place)
        place = gap.end() if gap else place
        compact += text[place : place + 1]
        place += 1
    follows = text[place : place + 1]
    if len(compact) != length or follows.isalnum() or not is_iban(compact.decode()):
        return 0
    return place


def _is_ipv6(written: str, private_ips: bool) -> bool:
    """An address with figures in three groups or more; `a::b` is a name in many languages."""
    groups = [group for group in written.split(":") if group]
    found = address(written)
    if found is None or len(groups) < 3 or not any(map(str.isdecimal, written)):
        return False
    return private_ips or found.is_global


def _apart(found: list[Found], kinds: frozenset[str]) -> list[Found]:
    """Without overlaps: the kind with the stronger check stays. Kinds that nobody asks for still shadow weaker ones."""
    kept: list[Found] = []  # in order, without overlap
    for each in sorted(found, key=lambda each: (KINDS.index(each.kind), each.begin)):
        place = bisect.bisect(kept, each.begin, key=lambda other: other.begin)
        clears_left = place == 0 or kept[place - 1].end <= each.begin
        if clears_left and (place == len(kept) or each.end <= kept[place].begin):
            kept.insert(place, each)
    return [each for each in kept if each.kind in kinds]
