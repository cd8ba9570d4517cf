"""Sentences of Tatoeba in 113 languages (data/langid), cut in two halves: one to fit on, one to claim on."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

FILE = "langid/tatoeba_113langs.jsonl.zst"
JOINED = (1, 2, 4, 8, 16, 40)
"""Sentences of one language put together, so that the fit sees texts of 30 to 1,200 characters."""

_PAIRS = (
    "afr:af amh:am ara:ar aze:az bel:be ben:bn bos:bs bre:br bul:bg cat:ca ceb:ceb ces:cs cmn:zh cym:cy dan:da deu:de "
    "ell:el eng:en epo:eo est:et eus:eu fao:fo fin:fi fra:fr fry:fy gla:gd gle:ga glg:gl heb:he hin:hi hrv:hr hun:hu "
    "hye:hy ile:ie ina:ia ind:id isl:is ita:it jav:jv jpn:ja kat:ka kaz:kk khm:km kor:ko kur:ku lat:la lit:lt lvs:lv "
    "mal:ml mar:mr mkd:mk mon:mn nld:nl nno:no nob:no oci:oc pes:fa pol:pl por:pt ron:ro rus:ru slk:sk slv:sl spa:es "
    "sqi:sq srp:sr swe:sv swh:sw tam:ta tat:tt tel:te tgl:tl tha:th tuk:tk tur:tr uig:ug ukr:uk urd:ur uzb:uz vie:vi "
    "war:war xho:xh yid:yi zsm:ms"
)

CODES = dict(pair.split(":") for pair in _PAIRS.split())
"""The 83 labels that CLD2 knows, and what we call them."""

BAYES_ONLY = {"kab": "kab"}
"""Labels that only py3langid's model knows."""

MACRO = {"yue": "zh", "wuu": "zh", "arz": "ar", "arq": "ar"}
"""Labels of languages whose macrolanguage is known: to call them by it is right."""


@dataclass(frozen=True)
class Text:
    text: str
    label: str
    """ISO 639-3."""
    code: str
    """What we should call it; `und` for a language that neither identifier knows."""
    half: int
    joined: int


def read(data: Path, joined: tuple[int, ...] = (1,), limit: int = 0) -> list[Text]:
    """Texts by label; `limit` takes so many sentences of each. Sentences are halved by the hash of their id."""
    import zstandard

    sentences: dict[tuple[str, int], list[tuple[str, str]]] = {}
    with (data / FILE).open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            row = json.loads(line)
            draw = hashlib.sha256(row["id"].encode()).hexdigest()
            sentences.setdefault((row["language"], int(draw[0], 16) % 2), []).append((draw, row["text"]))
    texts = []
    for (label, half), drawn in sorted(sentences.items()):
        own = [text for _, text in sorted(drawn)][: limit or None]
        code = ({**CODES, **BAYES_ONLY, **MACRO}).get(label, "und")
        for size in joined:
            for start in range(0, len(own) - size + 1, size):
                texts.append(Text(" ".join(own[start : start + size]), label, code, half, size))
    return texts


def pieces(file: Path, most: int) -> list[str]:
    """Pieces of 200 to 400 characters taken evenly from all of a file's documents."""
    import zstandard

    found = []
    with file.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            text, start = json.loads(line)["text"], 0
            while len(text) - start >= 200:
                end = start + 200 + (start * 7919) % 201
                found.append(text[start:end].strip())
                start = end
    kept = [piece for piece in found if len(piece) >= 200]
    return kept[:: max(1, len(kept) // most)]
