"""From raw sources to documents: read, normalise, judge, deduplicate, split.

Reads    the files that recipe.sources names.
Writes   documents/<source>.parquet, dropped/<source>.parquet with the reason of every drop, stats.json, and, where
         the recipe has tasks, contamination.json.
Resumes  at units of about curate.shard_bytes of input: finished ones stay in a hidden scratch folder until the end.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orfevre import artifact, runner
from orfevre.curate import boilerplate, classifier, contamination, spans, steps
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
    tasks = _settle(recipe, units, scratch, out)
    sizes = [float(task.text_bytes) for task in tasks]
    counts = runner.run_all(write_source, tasks, recipe.runner, label="writing documents", sizes=sizes, unit="B")
    contamination.survey(recipe, scratch / PREPARED, out)
    stats = {source.name: _of_files(source, units) | own for source, own in zip(recipe.sources, counts, strict=True)}
    table = {"sources": stats} | classifier.report(scratch / PREPARED)
    artifact.write_text(out / "stats.json", json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(scratch.parent)
    for own in stats.values():
        assert own["read"] == own["kept"] + sum(own["dropped"].values()) + sum(own["broken"].values())
    return _tally(stats)


def _sift_all(recipe: Recipe, units: Sequence[Unit]) -> None:
    waiting = [unit for unit in units if not unit.is_done]
    sizes = [float(unit.num_bytes) for unit in waiting]
    runner.run_all(sift, waiting, recipe.runner, label="reading sources", sizes=sizes, unit="B")


def _settle(recipe: Recipe, units: Sequence[Unit], scratch: Path, out: Path) -> list[Task]:
    """Decide over all sources, leave each source's fates in scratch, and refuse a source that came out empty."""
    settled = settle(recipe, units, scratch / "dedup")
    units = spans.trim(recipe, units, settled, scratch / "spans")
    tasks = []
    for source in recipe.sources:
        parts = tuple(part for unit in units if unit.source.name == source.name for part in unit.parts())
        size = sum(unit.text_bytes() for unit in units if unit.source.name == source.name)
        tasks.append(Task(source, parts, size, settled.fates[source.name], settled.split, out))
    for task in tasks:
        if not settled.kept[task.source.name]:
            _refuse_empty(task)
    return tasks


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
