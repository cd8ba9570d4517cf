"""`orfevre trace`: where a document or a passage comes from, and what was done to it until the release."""

import json
import re
from typing import Any

from orfevre import console
from orfevre.errors import InputError
from orfevre.provenance import passage, usage
from orfevre.provenance.runs import DROPPED, KEPT, Run, matching

MOST = 10
"""Documents shown; the rest are counted."""

EXCERPT_CHARS = 240

_ID = re.compile(r"[0-9a-f]{16}")

Facts = dict[str, Any]


def trace(run: Run, wanted: str, as_json: bool = False) -> None:
    """Print what is known of a document (16 hex digits) or of those that hold a passage.

    Raises InputError if the run knows no such document, and none that shares an n-gram with the passage.
    """
    found = by_id(run, wanted) if _ID.fullmatch(wanted.strip().lower()) else by_passage(run, wanted)
    shown = [whole(run, row) for row in found[:MOST]]
    if as_json:
        console.result(json.dumps({"documents": shown, "found": len(found)}, indent=1, ensure_ascii=False))
        return
    for facts in shown:
        console.table(("what", "value"), _lines(facts), title=_title(facts))
    if len(found) > MOST:
        console.say(f"{len(found) - MOST} more documents hold as much of it; give a longer passage")


def by_id(run: Run, wanted: str) -> list[Facts]:
    identity = wanted.strip().lower()
    found = [row | {"kind": kind} for kind, path in run.tables() for row in matching(path, "id", [identity])]
    if not found:
        raise InputError(
            f"{identity}: no document of {run.curate} has this id, kept or dropped; `orfevre trace {run.named} "
            '"a passage"` finds documents by their text'
        )
    return found


def by_passage(run: Run, text: str) -> list[Facts]:
    """Of the documents that hold a part of the passage, those with the largest share."""
    held = passage.search(run, text)
    if not held:
        raise InputError(
            f"{_short(text)!r}: no document of {run.curate}, kept or dropped, shares "
            f"{passage.GRAM_WORDS} words in a row with it"
        )
    best = [each for each in held if each.share == held[0].share]
    found: list[Facts] = []
    for each in best:
        about: Facts = {"kind": each.kind, "share": round(each.share, 4), "passage": text}
        if len(found) < MOST:
            about |= matching(each.path, "id", [each.id])[0]
        found.append(about)
    return found


def whole(run: Run, row: Facts) -> Facts:
    """Everything known of one document: its row, its duplicates, and where it went."""
    identity, source = row["id"], row["source"]
    kept = row["kind"] == KEPT
    facts: Facts = {"id": identity, "state": "kept" if kept else "dropped"}
    facts |= {key: row[key] for key in _COLUMNS if row.get(key) not in (None, "")}
    facts["edits"] = json.loads(row.get("edits") or "{}")
    facts.setdefault("licence", _licence(run, source))
    if "share" in row:
        facts["share"] = row["share"]
    facts["excerpt"] = excerpt(row.get("text") or "", row.get("passage", ""))
    facts["duplicates"] = _duplicates(run, identity)
    facts["group_size"] = _group_size(run, row["group"]) if kept else 0
    facts["shards"] = [usage.as_table(place) for place in usage.places(run, {identity})]
    trained = usage.trained(run, facts["shards"][0]["source"]) if facts["shards"] else None
    facts["training"] = usage.as_table(trained) if _in_training(facts) else None
    facts["release"] = usage.as_table(usage.released(run)) if facts["training"] else None
    return facts


def _licence(run: Run, source: str) -> str:
    """Of a source, or of the one that the part of this name was split from; empty if the recipe has changed since."""
    return run.recipe.source(source).licence if source in run.recipe.source_names else ""


_COLUMNS = (
    "source", "location", "url", "licence", "title", "date", "acquired", "language", "language_confidence", "num_bytes",
    "sha256", "raw_sha256", "quality", "reason", "detail", "group", "split",
)  # fmt: skip


def _in_training(facts: Facts) -> bool:
    return any(place["split"] == "train" for place in facts["shards"])


def _duplicates(run: Run, identity: str) -> list[str]:
    """Ids of what was dropped because this document says the same."""
    paths = [path for kind, path in run.tables() if kind == DROPPED]
    return [row["id"] for path in paths for row in matching(path, "detail", [identity], ("id",))]


def _group_size(run: Run, group: str) -> int:
    paths = [path for kind, path in run.tables() if kind == KEPT]
    return sum(len(matching(path, "group", [group], ("id",))) for path in paths)


def excerpt(text: str, wanted: str) -> str:
    """Some characters of the text, from where the passage's first words stand if they can be found."""
    words = re.findall(r"\w+", wanted)[:5]
    match = re.search(r"\W+".join(map(re.escape, words)), text, re.IGNORECASE) if words else None
    start = max(0, match.start() - 20) if match else 0
    piece = " ".join(text[start : start + EXCERPT_CHARS].split())
    return ("… " if start else "") + piece + (" …" if start + EXCERPT_CHARS < len(text) else "")


def _title(facts: Facts) -> str:
    share = f", holds {100 * facts['share']:.0f} % of the passage" if "share" in facts else ""
    return f"\n{facts['id']}: {facts['state']}{share}"


def _lines(facts: Facts) -> list[tuple[str, str]]:
    shown: dict[str, Any] = {key: facts.get(key) for key in _COLUMNS if key not in ("reason", "detail", "split")}
    shown |= {
        "dropped as": " ".join(
            filter(None, (facts.get("reason"), f"({facts['detail']})" if "detail" in facts else ""))
        ),
        "edits": ", ".join(f"{count} {kind}" for kind, count in facts["edits"].items()),
        "near-duplicates kept": facts["group_size"] - 1 if facts["group_size"] > 1 else "",
        "duplicates dropped": _listed(facts["duplicates"]),
        "split": facts.get("split"),
        **_usage_lines(facts),
        "text": facts["excerpt"],
    }
    return [(key.replace("_", " "), _written(value)) for key, value in shown.items() if value not in (None, "", [])]


def _usage_lines(facts: Facts) -> dict[str, str]:
    lines = {}
    for number, place in enumerate(facts["shards"]):
        last = place["first"] + place["tokens"] - 1
        lines["shard" if not number else f"shard {number + 1}"] = (
            f"{place['source']}/{place['split']}.bin, document {place['number']}, tokens {place['first']} to {last}"
        )
    if training := facts["training"]:
        lines["training"] = f"its source was read {training['epochs']:.3g} times in {training['steps']:,} steps"
    if release := facts["release"]:
        lines["release"] = f"{release['name']} in {release['folder']}, {release['magnet']}"
    return lines


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:MOST]) + (f" and {len(ids) - MOST} more" if len(ids) > MOST else "")


def _written(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
