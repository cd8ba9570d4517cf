"""Cards, social security numbers, phones and IPv4 addresses in a run of digits and separators."""

import re
from collections.abc import Iterator

from orfevre.curate.identifiers import address, calling_code, is_card, is_nir

_GAP = rb"(?:[ .\-/]|\xc2\xa0|\xe2\x80\xaf)"
_THIN = rb"(?:[ \-.]|\xc2\xa0|\xe2\x80\xaf)"

_CARD = re.compile(rb"(?<![0-9.,])[0-9](?:(?:[ \-]|\xc2\xa0|\xe2\x80\xaf)?[0-9]){11,18}(?![0-9])")
_NIR = re.compile(
    rb"(?<![0-9])[123478]" + _THIN + rb"?[0-9]{2}" + _THIN + rb"?[0-9]{2}" + _THIN + rb"?(?:[0-9]{2}|2[ABab])"
    + _THIN + rb"?[0-9]{3}" + _THIN + rb"?[0-9]{3}" + _THIN + rb"?[0-9]{2}(?![0-9])"
)  # fmt: skip
_IPV4 = re.compile(rb"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")

_WIDE = rb"(?:[ .\-/()]{0,2}(?:\xc2\xa0|\xe2\x80\xaf)?[0-9])"
_APART = rb"(?<![0-9.,/+\-])"
_PHONES = [
    # E.164, written with + or 00; the trunk prefix may stand in brackets
    re.compile(rb"(?<![0-9+.A-Za-z])(?:\+|00(?=[1-9]))" + _GAP + rb"?\(?[1-9]" + _WIDE + rb"{7,14}(?![0-9])"),
    # France, Belgium's mobiles: ten digits by two
    re.compile(_APART + rb"\(?0[1-9]\)?(?:" + _GAP + rb"?[0-9]{2}){4}(?!" + _GAP + rb"?[0-9])"),
    # a trunk 0, an area, then groups: Germany, Italy, Belgium, Switzerland, United Kingdom, Netherlands
    re.compile(
        _APART + rb"\(?0[1-9][0-9]{0,4}\)?[ \-/.]{1,2}[0-9]{2,8}(?:[ \-.][0-9]{2,4}){0,3}(?![0-9]|[.,\-/][0-9])"
    ),
    # North America
    re.compile(
        _APART + rb"(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[\-.])[2-9][0-9]{2}[ \-.][0-9]{4}"
        rb"(?![0-9]|[.,\-/][0-9])"
    ),
]
_NAMED_PHONE = re.compile(rb"(?<![0-9])\(?[0-9]" + _WIDE + rb"{6,14}(?![0-9])")
"""Any run of digits, beside a word that says it is a phone."""

_DATE = re.compile(rb"[0-9]{1,2}([.\-/ ])[0-9]{1,2}\1(?:19|20)[0-9]{2}|(?:19|20)[0-9]{2}([.\-/])[0-9]{2}\2[0-9]{2}")

_US_SSN = re.compile(rb"[0-9]{3}-[0-9]{2}-[0-9]{4}")
_GROUP = re.compile(rb"[0-9]+")
_GROUP_BEFORE = re.compile(rb"[0-9]" + _GAP + rb"\Z")

_CALL = re.compile(
    rb"(?:\b(?:t\xc3\xa9l(?:\xc3\xa9phone)?|tel(?:ephone|efon|efono)?|phone|fax|mobile|mobil|portable|handy|cell|gsm"
    rb"|whatsapp|desk|call(?:ing)?|joindre|appel(?:er|ez)|sms|messages? to|answering at))\b[^0-9]{0,12}\Z",
    re.IGNORECASE,
)
_CALLED = re.compile(rb"[ \-,:(]{0,3}(?:office|fax|mobile|phone|portable|bureau|domicile)\b", re.IGNORECASE)
_CARD_WORD = re.compile(rb"\b(?:card|carte|visa|mastercard|maestro|cb|cc)\b", re.IGNORECASE)
_VERSION = re.compile(
    rb"(?:\bv|versions?|release|ver\.?|build|[A-Za-z]/|section|\xc2\xa7|chapter|chapitre)[ :=]*\Z", re.IGNORECASE
)
_ADDRESS_WORD = re.compile(rb"(?:\bip(?:v4)?\b|address|adresse|//|host|server|serveur)[^0-9]{0,12}\Z", re.IGNORECASE)

_CONTEXT = 24
"""Bytes before a number in which a word tells what it is."""

_SMALL = 32
"""Four figures all below it look like a section or a version."""


def find(text: bytes, begin: int, end: int, private_ips: bool) -> Iterator[tuple[str, int, int]]:
    """Kind, begin and end in bytes, of what stands in text[begin:end]; kinds may overlap."""
    num_digits = sum(48 <= byte < 58 for byte in text[begin:end])
    if num_digits >= 13:
        yield from _checked(text, _NIR, "nir", begin, end)
    if num_digits >= 12:
        yield from _cards(text, begin, end)
    if text.count(b".", begin, end) >= 3:
        yield from _ipv4(text, begin, end, private_ips)
    if num_digits >= 7:
        yield from _phones(text, begin, end)


def _matches(pattern: re.Pattern[bytes], text: bytes, begin: int, end: int) -> Iterator[re.Match[bytes]]:
    """Matches within the run; what stands beside it is seen by the pattern's conditions."""
    place = begin
    while place < end:
        match = pattern.search(text, place, min(len(text), end + 2))
        if match is None:
            return
        if match.end() <= end:
            yield match
        place = max(match.end(), place + 1)


def _checked(
    text: bytes, pattern: re.Pattern[bytes], kind: str, begin: int, end: int
) -> Iterator[tuple[str, int, int]]:
    for match in _matches(pattern, text, begin, end):
        compact = re.sub(rb"[^0-9ABab]", b"", match.group()).decode()
        if is_nir(compact):
            yield kind, match.start(), match.end()


def _cards(text: bytes, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    before = text[max(0, begin - _CONTEXT) : begin]
    is_named = _CARD_WORD.search(before) is not None
    for match in _matches(_CARD, text, begin, end):
        if is_card(_digits(match.group()), is_named):
            yield "card", match.start(), match.end()


def _ipv4(text: bytes, begin: int, end: int, private_ips: bool) -> Iterator[tuple[str, int, int]]:
    for match in _matches(_IPV4, text, begin, end):
        found = address(match.group().decode())
        if found is None or not (private_ips or found.is_global):
            continue
        before = text[max(0, match.start() - _CONTEXT) : match.start()]
        is_small = max(map(int, match.group().split(b"."))) < _SMALL
        if _VERSION.search(before) or (is_small and not _ADDRESS_WORD.search(before)):
            continue
        yield "ip", match.start(), match.end()


def _phones(text: bytes, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    before = text[max(0, begin - _CONTEXT) : begin]
    is_named = _CALL.search(before) or _CALLED.match(text, end)
    patterns = [*_PHONES, _NAMED_PHONE] if is_named else _PHONES
    for pattern in patterns:
        for match in _matches(pattern, text, begin, end):
            start = match.start() + (match.group().startswith(b"(") and b")" not in match.group())
            if _is_phone(match.group()) and not _is_in_word(text, start, match.end()):
                yield "phone", start, match.end()


def _is_in_word(text: bytes, begin: int, end: int) -> bool:
    """A piece of a longer name, of a hexadecimal or a grouped number; `x4587`, an extension, may follow."""
    if text[begin : begin + 1].isdigit() and _GROUP_BEFORE.search(text, max(0, begin - 4), begin):
        return True
    before, after = text[max(0, begin - 1) : begin], text[end : end + 1]
    return before.isalnum() or before == b"_" or (after.isalpha() and after != b"x")


def _is_phone(written: bytes) -> bool:
    digits = _digits(written)
    if (
        _DATE.match(written)
        or _US_SSN.fullmatch(written)
        or len(set(digits)) < 3
        or digits in ("0123456789", "1234567890")
    ):
        return False
    if written.startswith(b"+") or digits.startswith("00"):
        number = digits.removeprefix("00")
        return calling_code(number) is not None and 8 <= len(number) <= 15
    if not digits.startswith("0"):
        return 7 <= len(digits) <= 15
    has_groups = len(_GROUP.findall(written)) >= 3
    return 9 + (not has_groups) <= len(digits) <= 12


def _digits(written: bytes) -> str:
    return bytes(byte for byte in written if 48 <= byte < 58).decode()
