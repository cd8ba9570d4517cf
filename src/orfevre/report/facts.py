"""Everything the report tells, read from the artefact folders of one run; what is not there yet is None or empty."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orfevre import artifact, metrics
from orfevre.ledger import Manifest
from orfevre.report import samples
from orfevre.report.samples import Samples

STAGES = ("curate", "tokenize", "mix", "plan", "train", "evaluate", "release")
"""In the order of the journey."""

Table = dict[str, Any]
"""A JSON object of docs/reference/artefacts.md."""


@dataclass(frozen=True)
class Facts:
    """One run's artefacts. A field is None (or empty) exactly when the stage that writes it has not finished."""

    name: str
    manifests: Mapping[str, Manifest]
    recipes: Mapping[str, Table]
    """The resolved recipe each finished stage was made from."""
    stats: Table | None
    contamination: Table | None
    """None too where the recipe names no tasks."""
    samples: Samples | None
    index: Table | None
    fertility: Table | None
    mixture: Table | None
    proxies: list[Table]
    checks: list[Table]
    bill: Table | None
    metrics: list[Table]
    summary: Table | None
    scores: Table | None
    magnet: str | None

    @property
    def recipe(self) -> Table:
        """The recipe of the last finished stage; empty before the first."""
        return next((self.recipes[stage] for stage in reversed(STAGES) if stage in self.recipes), {})

    def missing(self) -> list[str]:
        return [stage for stage in STAGES if stage not in self.manifests]


def gather(run_folder: Path) -> Facts:
    """Read `<work>/<recipe name>/`. Raises WorkFolderError for an artefact of another version or a damaged one."""
    found = {stage: manifest for stage in STAGES if (manifest := artifact.read(run_folder / stage)) is not None}

    def table(stage: str, name: str) -> Table | None:
        return _json(run_folder / stage / name) if stage in found else None

    def lines(stage: str, name: str) -> list[Table]:
        return metrics.read(run_folder / stage / name) if stage in found else []

    return Facts(
        name=next((manifest.run for manifest in found.values()), run_folder.resolve().name),
        manifests=found,
        recipes={stage: _json(run_folder / stage / "recipe.json") for stage in found},
        stats=(stats := table("curate", "stats.json")),
        contamination=_if_there(run_folder / "curate" / "contamination.json") if stats else None,
        samples=samples.gather(run_folder / "curate") if stats else None,
        index=table("tokenize", "index.json"),
        fertility=table("tokenize", "fertility.json"),
        mixture=table("mix", "mixture.json"),
        proxies=lines("mix", "proxies.jsonl"),
        checks=lines("mix", "checks.jsonl"),
        bill=table("plan", "bill.json"),
        metrics=lines("train", "metrics.jsonl"),
        summary=table("train", "summary.json"),
        scores=table("evaluate", "scores.json"),
        magnet=(run_folder / "release" / "magnet.txt").read_text("utf-8").strip() if "release" in found else None,
    )


def _if_there(path: Path) -> Table | None:
    return _json(path) if path.exists() else None


def _json(path: Path) -> Table:
    table: Table = json.loads(path.read_text(encoding="utf-8"))
    return table
