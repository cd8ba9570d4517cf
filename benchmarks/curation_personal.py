"""Finding personal data: precision and recall by kind, and MB per CPU second, beside Presidio's pattern recognisers.

Two sets: presidio-research's English sentences (messy/pii_synthetic_presidio_v2.json of --data), and French documents
made here by seed, in which half of the numbers have wrong check digits or are dates, prices and versions. A find counts
when it overlaps a span of its kind. Presidio runs its recognisers without a language model; speed is on clean text.
"""

import importlib.util
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.curation_filters import _first, _size, _texts
from benchmarks.paired import ratio
from orfevre.curate import identifiers, personal

Span = tuple[str, int, int]
"""Kind, first character and the one after the last."""

KINDS = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip"
}  # fmt: skip
REPEATS = 5
GOAL = 200.0


def run(data: Path | None = None, *, small: bool = False) -> int:
    """Always 0: what is lost is printed."""
    finders: dict[str, Callable[[str], list[Span]]] = {"orfevre": ours}
    if importlib.util.find_spec("presidio_analyzer") is None:
        print("presidio_analyzer is not installed (pip install -e '.[benchmark]'): skipped")
    else:
        finders["presidio"] = presidio()
    english = data / "messy" / "pii_synthetic_presidio_v2.json" if data else None
    if english is None or not english.is_file():
        print(
            "presidio-research's sentences: skipped, they need --data FOLDER with messy/pii_synthetic_presidio_v2.json"
        )
    else:
        table("presidio-research's sentences", list(_sentences(english))[: 100 if small else None], finders)
    table("French documents made here", list(french(40 if small else 600)), finders)
    speed(_texts(data, 300_000 if small else 16_000_000), finders, 2 if small else REPEATS)
    return 0


def table(name: str, texts: Sequence[tuple[str, list[Span]]], finders: dict[str, Callable[[str], list[Span]]]) -> None:
    print(f"{name}, {len(texts)} texts: precision, recall, F1 (spans)")
    for finder, find in finders.items():
        hits, wrong, missed = score(texts, find)
        for kind in sorted({span[0] for _, spans in texts for span in spans} | set(hits)):
            precision = hits[kind] / max(1, hits[kind] + wrong[kind])
            recall = hits[kind] / max(1, hits[kind] + missed[kind])
            f1 = 2 * precision * recall / max(1e-9, precision + recall)
            print(f"  {finder:9} {kind:6} {precision:.3f} {recall:.3f} {f1:.3f} ({hits[kind] + missed[kind]})")


def score(
    texts: Sequence[tuple[str, list[Span]]], find: Callable[[str], list[Span]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Spans found, finds that are none, and spans missed, by kind."""
    hits: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for text, spans in texts:
        found = find(text)
        for span in spans:
            (hits if any(_meet(span, each) for each in found) else missed)[span[0]] += 1
        wrong.update(each[0] for each in found if not any(_meet(span, each) for span in spans))
    return hits, wrong, missed


def _meet(left: Span, right: Span) -> bool:
    return left[0] == right[0] and left[1] < right[2] and right[1] < left[2]


def ours(text: str) -> list[Span]:
    encoded = text.encode()
    found = personal.find([encoded], private_ips=True)[0]
    return [(each.kind, len(encoded[: each.begin].decode()), len(encoded[: each.end].decode())) for each in found]


def presidio() -> Callable[[str], list[Span]]:
    """Its recognisers by pattern and check, at its default threshold of acceptance (0.4 hides most of its phones)."""
    import tldextract
    from presidio_analyzer import predefined_recognizers as known

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # its own copy of the list: nothing is fetched

    recognisers = [
        known.EmailRecognizer(), known.CreditCardRecognizer(), known.IbanRecognizer(), known.IpRecognizer(),
        known.PhoneRecognizer(supported_regions=("US", "GB", "FR", "DE", "ES", "IT", "BE", "CH")),
    ]  # fmt: skip

    def find(text: str) -> list[Span]:
        found = []
        for each in recognisers:
            for result in each.analyze(text, each.supported_entities, None) or []:
                if result.score > 0 and result.entity_type in KINDS:
                    found.append((KINDS[result.entity_type], result.start, result.end))
        return found

    return find


def speed(texts: Sequence[str], finders: dict[str, Callable[[str], list[Span]]], repeats: int) -> None:
    encoded = [text.encode() for text in texts]
    some = _first(texts, min(0.25, _size(texts) / 1e6))
    mine, theirs = [], []
    for _ in range(repeats):
        mine.append(_cpu(lambda: [personal.find(encoded[at : at + 256]) for at in range(0, len(encoded), 256)]))
        if "presidio" in finders:
            theirs.append(_cpu(lambda: list(map(finders["presidio"], some))) / _size(some))
    fast = _size(texts) / 1e6 / median(mine)
    print(f"clean text: orfevre {fast:.0f} MB/CPU s (goal {GOAL:.0f}: {'met' if fast >= GOAL else 'MISSED'})")
    if theirs:
        print(f"  presidio: {1e-6 / median(theirs):.2f} MB/CPU s")
        costs = [seconds / _size(texts) for seconds in mine]
        print("\n".join(f"    {line}" for line in ratio(costs, theirs).lines("presidio")))


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return max(time.process_time() - start, 1e-9)


def _sentences(path: Path) -> Iterator[tuple[str, list[Span]]]:
    for row in json.loads(path.read_text(encoding="utf-8")):
        spans = [
            (KINDS[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]
            if span["entity_type"] in KINDS
        ]
        yield row["full_text"], spans


def french(count: int, seed: int = 2024) -> Iterator[tuple[str, list[Span]]]:
    """Documents of a few sentences, each with a datum or a look-alike."""
    draw = random.Random(seed)
    for _ in range(count):
        text, spans = "", []
        for _ in range(draw.randrange(2, 6)):
            kind, written, frame = draw.choice(_MAKERS)(draw)
            before, after = frame.split("§")
            if kind:
                spans.append((kind, len(text) + len(before), len(text) + len(before) + len(written)))
            text += before + written + after + draw.choice((" ", "\n"))
        yield text, spans


def _digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choices("0123456789", k=count))


def _grouped(draw: random.Random, text: str, sizes: Sequence[int]) -> str:
    gap, parts, place = draw.choice(("", " ", "\u00a0")), [], 0
    for size in sizes:
        parts.append(text[place : place + size])
        place += size
    return gap.join(part for part in parts if part)


def _nir(draw: random.Random) -> tuple[str, str, str]:
    department = draw.choice(("2A", "2B", f"{draw.randrange(1, 96):02d}"))
    body = f"{draw.choice('12')}{_digits(draw, 2)}{draw.randrange(1, 13):02d}{department}{_digits(draw, 6)}"
    key = 97 - int(body.replace("2A", "19").replace("2B", "18")) % 97
    is_valid = draw.random() < 0.5
    key = key if is_valid else key % 97 + 1
    written = _grouped(draw, f"{body}{key:02d}", (1, 2, 2, 2, 3, 3, 2))
    return ("nir" if is_valid else ""), written, "Son numéro de sécurité sociale est le §."


def _iban(draw: random.Random) -> tuple[str, str, str]:
    body = _digits(draw, 10) + "".join(draw.choices("0123456789ABCDEF", k=11)) + _digits(draw, 2)
    check = 98 - int("".join(str(int(char, 36)) for char in f"{body}FR00")) % 97
    is_valid = draw.random() < 0.5
    check = check if is_valid else (check - 1) % 97 + 2
    written = f"FR{check:02d}{body}"
    is_valid = identifiers.is_iban(written)
    return ("iban" if is_valid else ""), _grouped(draw, written, (4,) * 7), "Virement sur le compte § avant lundi."


def _card(draw: random.Random) -> tuple[str, str, str]:
    body = "4" + _digits(draw, 14)
    good = next(digit for digit in "0123456789" if identifiers.luhn(body + digit))
    is_valid = draw.random() < 0.5
    last = good if is_valid else str((int(good) + draw.randrange(1, 10)) % 10)
    return ("card" if is_valid else ""), _grouped(draw, body + last, (4,) * 4), "Le paiement par § a été refusé."


def _phone(draw: random.Random) -> tuple[str, str, str]:
    pairs, gap = [_digits(draw, 2) for _ in range(4)], draw.choice(("", " ", ".", "-", "\u00a0"))
    start = draw.choice(
        (f"0{draw.randrange(1, 10)}", f"+33{gap}{draw.randrange(1, 10)}", f"+33 (0){draw.randrange(1, 10)}")
    )
    return "phone", gap.join([start, *pairs]), "On peut la joindre au § le matin."


def _email(draw: random.Random) -> tuple[str, str, str]:
    name = draw.choice(("marie.durand", "j-p_martin", "contact+info", "l.o'brien"))
    return (
        "email",
        f"{name}{draw.randrange(99)}@{draw.choice(('mairie-lyon.fr', 'free.fr', 'inria.fr'))}",
        "Écrire à §.",
    )


def _ip(draw: random.Random) -> tuple[str, str, str]:
    written = ".".join(str(draw.randrange(40, 224)) for _ in range(4))
    return "ip", written, "La connexion venait de § hier."


def _other(draw: random.Random) -> tuple[str, str, str]:
    """What looks like a datum and is none."""
    written, frame = draw.choice((
        (f"{draw.randrange(1, 29):02d}/{draw.randrange(1, 13):02d}/{draw.randrange(1950, 2025)}", "Né le § à Brest."),
        (f"{draw.randrange(10, 99)} {_digits(draw, 3)} {_digits(draw, 3)} €", "Le budget est de §."),
        (".".join(str(draw.randrange(30)) for _ in range(4)), "La version § corrige cela."),
        (f"978-2-07-{_digits(draw, 6)}-{_digits(draw, 1)}", "ISBN §."),
        (f"{_digits(draw, 9)}", "SIREN § au registre."),
        (f"article L. {_digits(draw, 3)}-{_digits(draw, 1)}", "Voir l'§ du code."),
        (f"{draw.randrange(23):02d}:{draw.randrange(60):02d}:{draw.randrange(60):02d}", "Départ à §."),
    ))  # fmt: skip
    return "", written, frame


_MAKERS: tuple[Callable[[random.Random], tuple[str, str, str]], ...] = (
    _nir, _iban, _card, _phone, _email, _ip, _other, _other, _other
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
