"""`orfevre forget`: what must not be used again, which documents of the run that is now, and what must be rebuilt."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from orfevre import artifact, console, pipeline
from orfevre.data import forgotten
from orfevre.data.forgotten import Rule
from orfevre.errors import InputError
from orfevre.provenance import usage
from orfevre.provenance.runs import DROPPED, KEPT, Run, load, matching, rows

SHOWN = 10

_SHOWN = ("id", "source", "location", "url", "state", "reason", "rule", "duplicates")

Facts = dict[str, Any]


def forget(run: Run, rules: Sequence[Rule], as_json: bool = False) -> None:
    """Add the rules to the run's forgotten.jsonl and print what they reach; without rules, what all of them reach.

    Raises InputError for an id that no document of a finished curate has, WorkFolderError while a run is under way.
    """
    matches = reach(run, rules or forgotten.read(run.folder))
    known = {match["id"] for match in matches}
    for rule in rules:
        if rule.kind == "id" and rule.value not in known and run.has("curate"):
            raise InputError(
                f"--id {rule.value}: no document of {run.curate} has this id; `orfevre trace {run.named} "
                '"a passage"` finds ids'
            )
    with artifact.lock(run.folder):
        new = forgotten.append(run.folder, rules)
    table = summary(run, rules, new, matches)
    if as_json:
        console.result(json.dumps(table, indent=1, ensure_ascii=False))
    else:
        _tell(run, table)


def reach(run: Run, rules: Sequence[Rule]) -> list[Facts]:
    """Documents and drops of the current curate that fall under a rule, and drops that are their duplicates."""
    if not run.has("curate"):
        return []
    matcher = forgotten.Matcher(rules)
    columns = ("id", "source", "location", "url", "reason", "detail", "num_bytes")
    found = []
    for kind, path in run.tables():
        for row in rows(path, columns):
            rule = matcher.match(row["id"], (row.get("url") or "", row["location"]))
            if rule is not None:
                found.append(row | {"state": "kept" if kind == KEPT else "dropped", "rule": str(rule)})
    twins = _duplicates(run, {row["id"] for row in found})
    return [row | {"duplicates": twins[row["id"]]} for row in found]


def _duplicates(run: Run, reached: set[str]) -> dict[str, list[str]]:
    """Ids of drops that say the same as each of these documents, those aside that are reached themselves."""
    twins: dict[str, list[str]] = {identity: [] for identity in reached}
    for path in [path for kind, path in run.tables() if kind == DROPPED and reached]:
        for row in matching(path, "detail", reached, ("id", "detail")):
            if row["id"] not in reached:
                twins[row["detail"]].append(row["id"])
    return twins


def summary(run: Run, rules: Sequence[Rule], new: Sequence[Rule], matches: Sequence[Facts]) -> Facts:
    """What the rules reach, source by source, and where it has gone."""
    kept = [match for match in matches if match["state"] == "kept"]
    places = usage.places(run, {match["id"] for match in kept})
    trained = {place.source for place in places if place.split == "train"}
    read = {source: used.epochs for source in sorted(trained) if (used := usage.trained(run, source)) is not None}
    reached = any(read.values())
    return {
        "file": str(run.folder / forgotten.FILE),
        "added": [str(rule) for rule in new],
        "known_before": len(rules) - len(new),
        "documents": [{key: match.get(key) for key in _SHOWN} for match in matches],
        "kept": dict(Counter(match["source"] for match in kept)),
        "dropped": dict(Counter(match["source"] for match in matches if match["state"] == "dropped")),
        "shards": {
            str(usage.shard_path(run, place)): sum(each.tokens for each in places if _same(each, place))
            for place in places
        },
        "read_in_training": read,
        "checkpoints": usage.checkpoints(run) if reached else [],
        "release": usage.as_table(usage.released(run)) if reached else None,
        "rebuild": _stale(run),
    }  # fmt: skip


def _same(left: usage.Place, right: usage.Place) -> bool:
    return (left.source, left.split) == (right.source, right.split)


def _stale(run: Run) -> list[str]:
    """Finished stages that the next run makes again, because curate was made before the rules of now."""
    made = artifact.read(run.curate)
    if made is None or made.inputs.get(forgotten.FILE, "") == forgotten.digest(run.folder):
        return []
    return [stage.name for stage in pipeline.STAGES if run.has(stage.name)]


def _tell(run: Run, table: Facts) -> None:
    for rule in table["added"]:
        console.say(f"added to {table['file']}: {rule}")
    if table["known_before"]:
        console.say(f"{table['known_before']} of them stood there already")
    if not run.has("curate"):
        console.say("curate has not finished here; the next run leaves out what the rules match")
        return
    documents = table["documents"]
    console.table(
        ("id", "state", "source", "rule", "url or location"),
        [(row["id"], row["state"], row["source"], row["rule"], row["url"] or row["location"])
         for row in documents[:SHOWN]],
        title=_counted(table),
    )  # fmt: skip
    if len(documents) > SHOWN:
        console.result(f"and {len(documents) - SHOWN} more; --json lists all")
    for line in _consequences(run, table):
        console.result(line)


def _counted(table: Facts) -> str:
    if not table["documents"]:
        return "No document of the current artefacts matches; the rules hold for the next run"
    parts = [f"{sum(table[state].values())} {state}" for state in ("kept", "dropped") if table[state]]
    return f"Documents that match: {', '.join(parts)}"


def _consequences(run: Run, table: Facts) -> list[str]:
    lines = []
    twins = sorted({twin for row in table["documents"] for twin in row["duplicates"]})
    if twins:
        lines.append(
            f"{len(twins)} dropped documents say the same and are not covered; one of them may be kept in its place: "
            f"{', '.join(twins[:SHOWN])}"
        )
    lines += [
        f"source {name} has no other document: the next run refuses it, so take it out of the recipe"
        for name in _emptied(run, table["kept"])
    ]
    for path, tokens in table["shards"].items():
        lines.append(f"shard {path}: {tokens:,} tokens of them")
    for source, epochs in table["read_in_training"].items():
        lines.append(f"training read source {source} {epochs:.3g} times")
    if table["checkpoints"]:
        lines.append(f"checkpoints trained on them: {', '.join(table['checkpoints'])}")
    if table["rebuild"]:
        lines.append(f"stale from now on: {', '.join(table['rebuild'])}; `orfevre run {_recipe_of(run)}` rebuilds them")
    if release := table["release"]:
        lines.append(
            f"The release {release['name']} was trained on them. A new run makes one that is not; weights that were "
            f"published cannot be called back: {release['magnet']}"
        )
    return lines


def _emptied(run: Run, reached: dict[str, int]) -> list[str]:
    """Sources of which every document is reached; of one that is split, in all its parts together."""
    sources = load(run.curate / "stats.json")["sources"]
    gone: Counter[str] = Counter()
    for name, number in reached.items():
        gone[run.recipe.whole(name).name if name in run.recipe.source_names else name] += number
    return [name for name, number in gone.items() if name in sources and number == sources[name]["kept"]]


def _recipe_of(run: Run) -> str:
    return run.named if run.named.endswith(".toml") else "RECIPE"
