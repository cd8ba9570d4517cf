"""Main text of web pages: ours beside Resiliparse and trafilatura (whole and fast), speed and quality in one run.

Three gold files, where --data FOLDER (or its web/) has them. Snippets: strings that the text must and must not
contain, scored as trafilatura's own evaluation does, over all pages (a wanted string found is a true positive, one that
is missing a false negative, an unwanted one a false positive), white space aside. Full texts and Markdown: F1 of the
words, the mean over pages. Ours was fitted on the even half of the pages (by CRC-32 of their id,
curation_extraction_fit.py); the odd half, printed apart, is the fair one.

Speed is pages per CPU second, from bytes to text, chunk by chunk in turns. Ours also takes title, date, licence and
signals out of the page; the peers' times hold none of that.
"""

import base64
import io
import json
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.paired import ratio
from orfevre.data.readers.record import Record
from orfevre.data.readers.web import NOTHING_TOLD, page
from orfevre.recipe import Curate

FILES = {
    "snippets": "html_gold_snippets.jsonl.zst",
    "fulltext": "html_gold_fulltext.jsonl.zst",
    "flink": "html_apache_flink.jsonl.zst",
}
GOLD = {"fulltext": "gold_text", "flink": "gold_markdown"}
NUM_CHUNKS = 12
GOAL_F1, GOAL_SPEED = 0.92, 150.0

Extractor = Callable[[bytes], str]
Page = dict[str, Any]


def run(data: Path | None = None, *, small: bool = False, names: Sequence[str] = tuple(FILES)) -> int:
    peers = _extractors()
    if small:
        _compare("made up", _made_up(), peers, 2)
        return 0
    place = next((each for each in _places(data) if (each / FILES["snippets"]).is_file()), None)
    if place is None:
        print(f"curation_extraction: skipped, it needs --data FOLDER with {', '.join(FILES.values())}")
        return 0
    for name in names:
        _compare(name, list(pages(place, name)), peers, NUM_CHUNKS)
    return 0


def pages(folder: Path, name: str) -> Iterator[Page]:
    """Pages with a gold; `html` decoded, `bytes` as they came."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    with (folder / FILES[name]).open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            row = json.loads(line)
            if name in GOLD and not row.get(GOLD[name]):
                continue
            row["bytes"] = row["html"].encode() if row.get("html") else base64.b64decode(row["html_b64"])
            encoding = detect_encoding(row["bytes"], from_html_meta=True) or "utf-8"
            row["html"] = bytes_to_str(row["bytes"], encoding, errors="replace")
            yield row


def is_for_choosing(row: Page) -> bool:
    """Whether a page belongs to the half on which ours was fitted."""
    return zlib.crc32(row["id"].encode()) % 2 == 0


def squeeze(text: str) -> str:
    return "".join(text.split())


def _places(data: Path | None) -> tuple[Path, ...]:
    return () if data is None else (data, data / "web")


def _extractors() -> dict[str, Extractor]:
    found: dict[str, Extractor] = {"orfevre": _ours, "resiliparse": _resiliparse}
    try:
        import trafilatura
    except ImportError as error:
        print(f"trafilatura: not installed, skipped ({error})")
        return found
    print(f"trafilatura {trafilatura.__version__}")
    found["trafilatura"] = lambda data: trafilatura.extract(_decoded(data), include_comments=False) or ""
    found["trafilatura fast"] = lambda data: (
        trafilatura.extract(_decoded(data), include_comments=False, fast=True) or ""
    )
    return found


def _ours(data: bytes) -> str:
    item = page(0, data, NOTHING_TOLD, _RULES)
    return item.text if isinstance(item, Record) else ""


_RULES = Curate()


def _resiliparse(data: bytes) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(_decoded(data), main_content=True, alt_texts=False))


def _decoded(data: bytes) -> str:
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    return str(bytes_to_str(data, detect_encoding(data, from_html_meta=True) or "utf-8", errors="replace"))


def _compare(name: str, rows: Sequence[Page], peers: dict[str, Extractor], num_chunks: int) -> None:
    texts: dict[str, list[str]] = {peer: [""] * len(rows) for peer in peers}
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    for extract in peers.values():  # imports and caches are not anyone's speed
        extract(rows[0]["bytes"])
    for chunk in range(num_chunks):
        for peer, extract in peers.items():
            started = time.process_time()
            for index in range(chunk, len(rows), num_chunks):
                texts[peer][index] = extract(rows[index]["bytes"])
            seconds[peer].append(time.process_time() - started)
    print(f"\n{name}: {len(rows)} pages, {sum(len(row['bytes']) for row in rows) / len(rows) / 1000:.0f} kB each")
    for peer in peers:
        speed = len(rows) / sum(seconds[peer])
        print(f"  {peer:17}{speed:6.0f} pages per CPU second   {_quality(rows, texts[peer])}")
    for peer in list(peers)[1:]:
        print("\n".join(f"  {line}" for line in ratio(seconds["orfevre"], seconds[peer]).lines(peer)))
    if name == "snippets":
        _judge(rows, texts["orfevre"], len(rows) / sum(seconds["orfevre"]))


def _judge(rows: Sequence[Page], texts: Sequence[str], speed: float) -> None:
    held_out = snippet_scores([pair for pair in zip(rows, texts, strict=True) if not is_for_choosing(pair[0])])[2]
    met = "met" if held_out >= GOAL_F1 and speed >= GOAL_SPEED else "MISSED"
    print(
        f"  goal (held-out F1 {GOAL_F1} at {GOAL_SPEED:.0f} pages per CPU second): {met}, {held_out:.3f} at {speed:.0f}"
    )


def _quality(rows: Sequence[Page], texts: Sequence[str]) -> str:
    pairs = list(zip(rows, texts, strict=True))
    odd = [pair for pair in pairs if not is_for_choosing(pair[0])] or pairs
    if "must_contain" in rows[0]:
        whole, half = snippet_scores(pairs), snippet_scores(odd)
        return (
            f"precision {whole[0]:.3f} recall {whole[1]:.3f} F1 {whole[2]:.3f}; odd half: "
            f"{half[0]:.3f} {half[1]:.3f} F1 {half[2]:.3f}"
        )
    key = "gold_text" if "gold_text" in rows[0] else "gold_markdown"
    whole_f1, half_f1 = (sum(word_f1(row[key], text) for row, text in each) / len(each) for each in (pairs, odd))
    return f"F1 of words {whole_f1:.3f}; odd half: {half_f1:.3f}"


def snippet_scores(pairs: Sequence[tuple[Page, str]]) -> tuple[float, float, float]:
    """Precision, recall and F1 over all strings of all pages."""
    found = missing = unwanted = 0
    for row, text in pairs:
        squeezed = squeeze(text)
        hits = [squeeze(wanted) in squeezed for wanted in row["must_contain"]]
        found += sum(hits)
        missing += len(hits) - sum(hits)
        unwanted += sum(squeeze(each) in squeezed for each in row["must_not_contain"])
    precision, recall = found / max(1, found + unwanted), found / max(1, found + missing)
    return precision, recall, 2 * found / max(1, 2 * found + missing + unwanted)


def word_f1(gold: str, text: str) -> float:
    wanted, got = (Counter(re.findall(r"\w+", each.lower())) for each in (gold, text))
    return 2 * sum((wanted & got).values()) / max(1, wanted.total() + got.total())


def _made_up() -> list[Page]:
    rows = []
    for number in range(6):
        body = " ".join(
            f"Sentence {index} of page {number} says a little more than the one before." for index in range(20)
        )
        text = (
            f"<html><head><title>Page {number}</title></head><body><nav><a href='/'>Home page</a></nav><article>"
            f"<p>{body}</p></article><div class='comments'><p>Somebody's remark about all this.</p></div></body></html>"
        )
        wanted, unwanted = [f"Sentence 7 of page {number}"], ["Home page", "Somebody's remark"]
        rows.append({"id": str(number), "bytes": text.encode(), "must_contain": wanted, "must_not_contain": unwanted})
    return rows


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), names=sys.argv[2:] or tuple(FILES)))
