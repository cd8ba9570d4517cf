"""Language identification beside pycld2, py3langid and lingua: F1, the unknown, calibration, speed.

Figures are of the half of Tatoeba's sentences that benchmarks/fit_languages.py did not see. Peers that are not
installed are said and skipped. Where orfevre loses it says so.
"""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import language_data, paired
from benchmarks.language_data import Text
from orfevre.curate import language_decision
from orfevre.curate.language_codes import base
from orfevre.curate.language_decision import Detected
from orfevre.recipe import Language

REPEATS = 5
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
SERBO_CROATIAN = ("bs", "hr", "sr")
LINGUA_SHARE = 10
"""lingua is asked one sentence in so many: it takes half a millisecond each."""

Identify = Callable[[Sequence[str]], list[Detected]]


def run(data: Path | None, limit: int = 0) -> int:
    if data is None or not (data / language_data.FILE).exists():
        print("languages: skipped, --data with langid/ is needed")
        return 0
    texts = [text for text in language_data.read(data, limit=limit) if text.half == 1]
    known = sorted({text.code for text in texts if text.label in language_data.CODES})
    print(f"languages: {len(texts):,} held-out sentences, {len(known)} languages that CLD2 knows")
    peers = _peers()
    for name, identify in peers.items():
        asked = texts[::LINGUA_SHARE] if name == "lingua" else texts
        _quality(name, asked, identify([text.text for text in asked]), known)
    _unknown(texts, language_decision.detect([text.text for text in texts]))
    _french(data)
    _speed([text.text for text in texts], peers)
    return 0


def _french(data: Path) -> None:
    """Pieces of 200 to 400 characters of French text: how many are called French with the default confidence."""
    for name in ("books_fr", "law_fr", "techdocs_fr"):
        pieces = language_data.pieces(data / "text" / f"{name}.jsonl.zst", 10_000)
        found = _ours(pieces)
        french = sum(one.code == "fr" for one in found)
        sure = sum(one.code == "fr" and one.confidence >= Language().min_confidence for one in found)
        lost = sum(one.code != "fr" and one.confidence >= Language().min_confidence for one in found)
        print(
            f"  {name}: {french / len(pieces):.4f} of {len(pieces):,} pieces of 200 to 400 characters called French, "
            f"{sure / len(pieces):.4f} with confidence, {lost} taken for another language"
        )


def _peers() -> dict[str, Identify]:
    found: dict[str, Identify] = {"orfevre": _ours, "pycld2": _pycld2}
    for name, make in (("py3langid", _py3langid), ("lingua", _lingua)):
        try:
            found[name] = make()
        except ImportError:
            print(f"  {name} is not installed: skipped")
    return found


def _ours(texts: Sequence[str]) -> list[Detected]:
    """In batches, as the step does."""
    return [one for start in range(0, len(texts), 256) for one in language_decision.detect(texts[start : start + 256])]


def _pycld2(texts: Sequence[str]) -> list[Detected]:
    import pycld2

    found = []
    for text in texts:
        try:
            reliable, _, details = pycld2.detect(text, bestEffort=True)
        except pycld2.error:
            found.append(Detected("und", 0.0))
            continue
        found.append(Detected(base(details[0][1]), details[0][2] / 100 if reliable else 0.0))
    return found


def _py3langid() -> Identify:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return lambda texts: [Detected(base(code), share) for code, share in map(identifier.classify, texts)]


def _lingua() -> Identify:
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models().build()

    def identify(texts: Sequence[str]) -> list[Detected]:
        found = [detector.detect_language_of(text) for text in texts]
        return [Detected(base(one.iso_code_639_1.name) if one else "und", 1.0) for one in found]

    return identify


def _quality(name: str, texts: Sequence[Text], found: Sequence[Detected], known: Sequence[str]) -> None:
    asked = [place for place, text in enumerate(texts) if text.label in language_data.CODES]
    gold = np.array([texts[place].code for place in asked])
    ours = np.array([found[place].code for place in asked])
    f1 = _f1(gold, ours, known)
    for code in SERBO_CROATIAN:
        gold[gold == code], ours[ours == code] = "sh", "sh"
    merged = _f1(gold, ours, sorted({"sh", *known} - set(SERBO_CROATIAN)))
    own = [code for code in merged if merged[code] > 0]
    print(
        f"  {name}: macro-F1 {np.mean(list(f1.values())):.4f} over {len(f1)} languages, "
        f"{np.mean(list(merged.values())):.4f} over {len(merged)} with Bosnian, Croatian and Serbian as one, "
        f"{np.mean([merged[code] for code in own]):.4f} over the {len(own)} of those that it ever finds"
    )


def _f1(gold: NDArray[np.str_], ours: NDArray[np.str_], codes: Sequence[str]) -> dict[str, float]:
    right = {code: int(((gold == code) & (ours == code)).sum()) for code in codes}
    return {code: 2 * right[code] / max(1, int((gold == code).sum() + (ours == code).sum())) for code in codes}


def _unknown(texts: Sequence[Text], found: Sequence[Detected]) -> None:
    """What each level of confidence takes and loses, ours and pycld2's reliable share, and the error of calibration."""
    theirs = _pycld2([text.text for text in texts])
    unknown = np.array([text.code == "und" for text in texts])
    for name, made in (("orfevre", found), ("pycld2", theirs)):
        sure = np.array([one.confidence for one in made])
        right = np.array([one.code == text.code for one, text in zip(made, texts, strict=True)])
        for level in LEVELS:
            taken = sure >= level
            print(
                f"  {name} at {level}: {taken[unknown].mean():.1%} of sentences in unknown languages accepted, "
                f"{1 - (taken & right)[~unknown].mean():.1%} of known ones lost, "
                f"{(taken & ~right).sum() / max(1, taken.sum()):.1%} of the accepted are wrong"
            )
        bins = np.minimum((sure * 10).astype(int), 9)
        filled = [bins == one for one in range(10) if (bins == one).any()]
        shares = [(int(inside.sum()), sure[inside].mean(), right[inside].mean()) for inside in filled]
        error = sum(count * abs(said - was) for count, said, was in shares) / len(sure)
        told = ", ".join(f"{said:.2f}/{was:.2f}" for _, said, was in shares)
        print(f"  {name}: expected calibration error {error:.4f}; confidence/share that was right: {told}")


def _speed(texts: list[str], peers: dict[str, Identify]) -> None:
    """Sentences a CPU second, by language and shuffled (the Bayes model's tables are larger than a cache)."""
    shuffled = random.Random(1).sample(texts, len(texts))
    for label, order in (("in order of language", texts), ("shuffled", shuffled)):
        seconds: dict[str, list[float]] = {name: [] for name in peers}
        for _ in range(REPEATS):
            for name, identify in peers.items():
                asked = order[::200] if name == "lingua" else order
                begin = time.process_time()
                identify(asked)
                seconds[name].append((time.process_time() - begin) * len(order) / len(asked))
        for name, taken in seconds.items():
            print(f"  {label}: {name} {len(order) / float(np.median(taken)):,.0f} sentences per CPU second")
            if name != "orfevre":
                print("\n".join("    " + line for line in paired.ratio(seconds["orfevre"], taken).lines(name)))


if __name__ == "__main__":
    import sys

    sys.exit(run(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
