"""From raw sources to documents: read, normalise, judge, deduplicate, split.

Reads    the files that recipe.sources names.
Writes   documents/<source>.parquet (one of each part, where sources.domains splits a source), dropped/<source>.parquet
         with the reason of every drop, stats.json, and, where the recipe has tasks, contamination.json.
Resumes  at units of about curate.shard_bytes of input: finished ones stay in a hidden scratch folder until the end.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orfevre import artifact, runner
from orfevre.curate import boilerplate, classifier, contamination, domains, spans, steps
from orfevre.curate.settle import settle
from orfevre.curate.sift import sift
from orfevre.curate.units import PREPARED, Unit, scratch_of, split_work
from orfevre.curate.write import Task, write_source
from orfevre.data import sources
from orfevre.errors import InputError
from orfevre.kernels import native
from orfevre.ledger import Tally
from orfevre.recipe import Recipe, Source


def run(recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> Tally:
    """Curate every source of the recipe. Raises InputError for a source of which nothing can be kept."""
    native.say_if_missing()
    scratch = scratch_of(out)
    units = split_work(recipe, [sources.resolve(recipe, source) for source in recipe.sources], scratch)
    steps.prepare(recipe, scratch / PREPARED)
    _sift_all(recipe, units)
    units = boilerplate.trim(recipe, units, scratch / "boilerplate")
    tasks, words = _settle(recipe, units, scratch, out)
    sizes = [float(task.text_bytes) for task in tasks]
    counts = runner.run_all(write_source, tasks, recipe.runner, label="writing documents", sizes=sizes, unit="B")
    contamination.survey(recipe, scratch / PREPARED, out)
    split = _of_parts(counts, words)
    stats = {source.name: _of_files(source, units) | own for source, own in zip(recipe.sources, counts, strict=True)}
    table = {"sources": stats} | split | classifier.report(scratch / PREPARED)
    artifact.write_text(out / "stats.json", json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(scratch.parent)
    for own in stats.values():
        assert own["read"] == own["kept"] + sum(own["dropped"].values()) + sum(own["broken"].values())
    return _tally(stats)


def _sift_all(recipe: Recipe, units: Sequence[Unit]) -> None:
    waiting = [unit for unit in units if not unit.is_done]
    sizes = [float(unit.num_bytes) for unit in waiting]
    runner.run_all(sift, waiting, recipe.runner, label="reading sources", sizes=sizes, unit="B")


def _settle(
    recipe: Recipe, units: Sequence[Unit], scratch: Path, out: Path
) -> tuple[list[Task], Mapping[str, list[str]]]:
    """Decide over all sources, leave each source's fates in scratch, and refuse a source that came out empty.

    Returns what is to be written, and the words of each part of the sources that are split."""
    settled = settle(recipe, units, scratch / "dedup")
    units = spans.trim(recipe, units, settled, scratch / "spans")
    parts = {
        source.name: tuple(part for unit in units if unit.source.name == source.name for part in unit.parts())
        for source in recipe.sources
    }
    sizes = Counter[str]()
    for unit in units:
        sizes[unit.source.name] += unit.text_bytes()
    for source in recipe.sources:
        if not settled.kept[source.name]:
            fates = settled.fates[source.name]
            _refuse_empty(Task(source, parts[source.name], sizes[source.name], fates, settled.split, out))
    divided = domains.divide(recipe, settled, parts, scratch / "domains")
    tasks = [
        Task(
            source, parts[source.name], sizes[source.name], settled.fates[source.name], divided.split, out,
            divided.labels.get(source.name, ()),
        )
        for source in recipe.sources
    ]  # fmt: skip
    return tasks, divided.words


def _of_parts(counts: Sequence[dict[str, Any]], words: Mapping[str, list[str]]) -> dict[str, Any]:
    """`{"domains": ...}` for stats.json, taken out of the sources' counts; empty where no source is split."""
    parts = {name: own for count in counts for name, own in count.pop("parts", {}).items()}
    table = {name: {"words": words[name], "documents": own.pop("kept")} | own for name, own in parts.items()}
    return {"domains": table} if table else {}


def _refuse_empty(task: Task) -> None:
    counts = write_source(task)
    dropped = counts["dropped"] | counts["broken"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1]))
    name = f"sources.{task.source.name}"
    raise InputError(
        f"{name}: no document is left ({reasons or 'its files hold no records'}); look at what was dropped in "
        f"{task.out / 'dropped' / (task.source.name + '.parquet')}, then mend {name}.paths or {name}.format, loosen "
        "curate.quality, or take the source out of the recipe"
    )


def _of_files(source: Source, units: Sequence[Unit]) -> dict[str, Any]:
    own = [unit for unit in units if unit.source.name == source.name]
    return {
        "files": sum(len(unit.files) for unit in own),
        "raw_bytes": sum(unit.num_bytes for unit in own),
        "skipped": dict(sorted(sum((Counter(unit.skipped()) for unit in own), Counter[str]()).items())),
        "licence": source.licence,
        "language": source.language,
    }


def _tally(stats: Mapping[str, Mapping[str, Any]]) -> Tally:
    read, kept, size = (sum(own[key] for own in stats.values()) for key in ("read", "kept", "kept_bytes"))
    broken = sum(sum(own["broken"].values()) for own in stats.values())
    counts = {"read": read, "kept": kept, "dropped": read - kept - broken, "broken": broken, "kept_bytes": size}
    return Tally(counts=counts)
