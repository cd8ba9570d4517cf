"""Which encoding a text is in that is not UTF-8: by its mark, or by what its bytes look like where that is plain."""

import codecs
import re

_MARKS = (  # the longer marks first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 2**18
"""What the detector looks at, around the first byte that is not ASCII."""

_LATIN_9 = re.compile(rb"[A-Za-z][\xbc\xbd\xbe]|[\xbc\xbd][a-z]")
"""Where ISO 8859-15 has oe, Latin-1 and Windows-1252 have fractions, which do not touch letters."""

_WEST = ("cp1252", "iso8859-1", "latin-1")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
_BROKEN_CASE = re.compile(r"[a-zà-ÿ][^\W\d_a-zA-Zà-ÿ]")


def marked(data: bytes) -> str:
    """The encoding that a byte order mark names; `utf-8` without one."""
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")


def decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. Raises UnicodeError (a ValueError) where that cannot be told.

    UTF-8 is believed when it decodes. Else resiliparse's detector is asked, and believed when every byte decodes and
    the text looks like one: a guess would put mojibake into the training text that nobody finds again.
    """
    encoding = marked(data)
    try:
        return data.decode(encoding), "utf-8" if encoding == "utf-8-sig" else encoding
    except UnicodeError as error:
        guess = _guess(data, error) if encoding == "utf-8" else ""
        if not guess:
            raise
        text = data.decode(guess)
        if not _is_plausible(text):
            raise
        return text, guess.replace("cp125", "windows-125")


def _guess(data: bytes, error: UnicodeError) -> str:
    from resiliparse.parse.encoding import detect_encoding

    if wide := _wide(data):
        return wide
    first = max(getattr(error, "start", 0) - _SAMPLE_BYTES // 4, 0)
    guess = str(detect_encoding(data[first : first + _SAMPLE_BYTES]) or "")
    if guess in _WEST and _LATIN_9.search(data) and not re.search(rb"[\x80-\x9f]", data):
        return "iso8859-15"
    return "" if guess == "utf-8" else guess


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: most of its every other byte is zero in a text of Latin letters."""
    sample = data[:_SAMPLE_BYTES]
    half = len(sample) // 2
    if half < 8 or len(data) % 2:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and odd < 0.05 * half else ""


def _is_plausible(text: str) -> bool:
    """Whether the characters beyond ASCII are mostly letters, and capitals among them do not follow small letters.

    Decoded as Windows-1252, Mac Roman's accents become capitals in the middle of words, code page 850's punctuation.
    """
    sample = text[:_SAMPLE_BYTES]
    if _CONTROL.search(sample):
        return False
    beyond = [character for character in sample if character > "\x7f" and not "\u2010" <= character <= "\u203a"]
    letters = sum(character.isalpha() for character in beyond)
    signs = sum(character in "«»\xa0°€·¿¡" for character in beyond)
    odd = sum(match[0][1].isupper() for match in _BROKEN_CASE.finditer(sample))
    return letters >= 0.6 * (len(beyond) - signs) and odd <= 0.1 * letters
