"""A page's bytes as text: what it is declared to be, unless its bytes say otherwise."""

import codecs

_MANY = 0.2
"""Share of the bytes beyond ASCII that are not UTF-8, above which a page that is declared UTF-8 is something else."""


def decode(data: bytes, declared: str | None) -> str:
    """The text of a page; bytes that mean nothing in its encoding become U+FFFD. Never raises for any bytes.

    A page that decodes as UTF-8 is UTF-8, whatever it says. Otherwise the Content-Type header's charset (`declared`)
    is believed, then the page's own; one of several single-byte encodings that only differ in control characters is
    read as browsers do (`iso-8859-1` is `windows-1252`). A page that is declared UTF-8 and is mostly not is detected.
    """
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    encoding = _encoding(data, declared)
    if encoding == "utf-8" and _is_mostly_not_utf8(data):
        encoding = _detected(data)
    # a lone surrogate would pass UTF-16's and UTF-7's decoders and no encoder
    return data.decode(encoding, "replace").encode("utf-8", "replace").decode().removeprefix("\ufeff")


def _encoding(data: bytes, declared: str | None) -> str:
    from resiliparse.parse.encoding import detect_encoding

    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return encoding
    return _known(declared) or _known(detect_encoding(data, from_html_meta=True)) or "utf-8"


def _known(label: str | None) -> str:
    """Python's name of an encoding that a page may declare; empty for none, an unknown or an unsafe one."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    if not label:
        return ""
    mapped = map_encoding_to_html5(label.strip(" \"'"), fallback_utf8=False)
    if not mapped:
        return ""
    try:
        return codecs.lookup(mapped).name
    except (LookupError, ValueError):  # a label of no codec, or with a null byte
        return ""


def _detected(data: bytes) -> str:
    from resiliparse.parse.encoding import detect_encoding

    found = _known(detect_encoding(data))
    return "cp1252" if found in ("", "utf-8") else found


def _is_mostly_not_utf8(data: bytes) -> bool:
    beyond = len(data.translate(None, bytes(range(128))))
    return data.decode("utf-8", "replace").count("\ufffd") > _MANY * max(1, beyond)
