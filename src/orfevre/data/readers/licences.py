"""Licence links as SPDX identifiers: Creative Commons' and a few others."""

import re

_CREATIVE_COMMONS = re.compile(
    r"^(?:https?:)?//(?:www\.)?creativecommons\.org/(?P<part>licen[sc]es|publicdomain)/(?P<kind>[a-z+-]+)"
    r"(?:/(?P<version>\d\.\d))?(?:/(?P<place>igo|[a-z]{2})(?=[/?#]|$))?",
    re.IGNORECASE,
)
_KINDS = frozenset(["by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd"])
_VERSIONS = frozenset(["1.0", "2.0", "2.5", "3.0", "4.0"])
_PORTED = frozenset(
    [
        "CC-BY-2.5-AU", "CC-BY-3.0-AT", "CC-BY-3.0-AU", "CC-BY-3.0-DE", "CC-BY-3.0-IGO", "CC-BY-3.0-NL", "CC-BY-3.0-US",
        "CC-BY-NC-3.0-DE", "CC-BY-NC-ND-3.0-DE", "CC-BY-NC-ND-3.0-IGO", "CC-BY-NC-SA-2.0-DE", "CC-BY-NC-SA-2.0-FR",
        "CC-BY-NC-SA-2.0-UK", "CC-BY-NC-SA-3.0-DE", "CC-BY-NC-SA-3.0-IGO", "CC-BY-ND-3.0-DE", "CC-BY-SA-2.0-UK",
        "CC-BY-SA-2.1-JP", "CC-BY-SA-3.0-AT", "CC-BY-SA-3.0-DE", "CC-BY-SA-3.0-IGO",
    ]
)  # fmt: skip
"""National versions that SPDX has an identifier for."""

_OTHERS = (
    (re.compile(r"apache\.org/licenses/LICENSE-2\.0", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"opensource\.org/licenses?/mit\b", re.IGNORECASE), "MIT"),
    (re.compile(r"gnu\.org/(?:licenses|copyleft)/fdl-1\.3", re.IGNORECASE), "GFDL-1.3-only"),
    (re.compile(r"etalab\.gouv\.fr/licence-ouverte|etalab/licence-ouverte/.*LO\.md", re.IGNORECASE), "etalab-2.0"),
)
_MAX_CHARS = 200


def normal(written: str) -> str:
    """The SPDX identifier of a licence's link; what is written, on one line and cut short, where there is none."""
    written = " ".join(written.split())[:_MAX_CHARS]
    if match := _CREATIVE_COMMONS.match(written):
        return _creative_commons(match) or written
    return next((name for link, name in _OTHERS if link.search(written)), written)


def is_creative_commons(link: str) -> bool:
    """Whether a link leads to a licence, and not just to the organisation."""
    return _CREATIVE_COMMONS.match(link) is not None


def _creative_commons(match: re.Match[str]) -> str:
    kind, version, place = (match[name].lower() if match[name] else "" for name in ("kind", "version", "place"))
    if match["part"].lower() == "publicdomain":
        return {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(kind, "")
    if kind == "publicdomain":
        return "CC-PDDC"
    name = f"CC-{kind.upper()}-{version}"
    if place and f"{name}-{place.upper()}" in _PORTED:
        return f"{name}-{place.upper()}"
    if place and version != "4.0":  # a national version that SPDX does not know; of 4.0 it is a translation
        return ""
    return name if kind in _KINDS and version in _VERSIONS else ""
