"""Everything the model card states, read from the artefacts and their manifests: nothing is typed in by hand."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orfevre import artifact, ledger
from orfevre.data.shards import Index, read_index
from orfevre.errors import RecipeError
from orfevre.ledger import Manifest
from orfevre.model import count
from orfevre.recipe import Model, Recipe, Release


@dataclass(frozen=True)
class SourceFacts:
    """One row of the data table."""

    name: str
    description: str
    licence: str
    language: str
    licences: tuple[str, ...]
    """Licences of its kept documents: what they declare themselves, or else the source's."""
    documents: int
    """Documents in the training split."""
    tokens: int
    """Distinct training tokens held."""
    trained_tokens: int
    """Tokens that training read."""
    share: float
    """Weight in the mixture."""
    epochs: float


@dataclass(frozen=True)
class Curated:
    """What curation took in of one source, before any is split."""

    name: str
    read: int
    kept: int
    dropped: Mapping[str, int]
    """Documents by reason, what was broken included."""


@dataclass(frozen=True)
class Facts:
    name: str
    release: Release
    model: Model
    """vocab_size filled in."""
    parameters: count.Parameters
    index: Index
    sources: tuple[SourceFacts, ...]
    curated: tuple[Curated, ...]
    contamination: Mapping[str, Any] | None
    """contamination.json; None where the recipe names no evaluation sets."""
    mixture: Mapping[str, Any]
    bill: Mapping[str, Any]
    summary: Mapping[str, Any]
    scores: Mapping[str, Any]
    manifests: Mapping[str, Manifest]
    """By stage, in order."""
    totals: ledger.Totals
    """Over all of `manifests`."""
    sequence_length: int
    dtype: str

    @property
    def beyond_mixtral(self) -> tuple[str, ...]:
        """Options that transformers' Mixtral lacks; with any, the folder is in orfevre's own format."""
        return self.model.beyond_mixtral

    @property
    def trained_on(self) -> str:
        """UTC date on which training ended."""
        return self.manifests["train"].created[:10]

    @property
    def licences(self) -> dict[str, list[str]]:
        """Names of the sources under each licence."""
        found: dict[str, list[str]] = {}
        for source in self.sources:
            for licence in source.licences:
                found.setdefault(licence, []).append(source.name)
        return dict(sorted(found.items()))


def gather(recipe: Recipe, inputs: Mapping[str, Path]) -> Facts:
    """Read every input artefact. Raises WorkFolderError for one that is not finished."""
    manifests = {stage: artifact.require(folder) for stage, folder in inputs.items()}
    stats = _read(inputs["curate"] / "stats.json")
    index = read_index(inputs["tokenize"])
    mixture, summary = _read(inputs["mix"] / "mixture.json"), _read(inputs["train"] / "summary.json")
    model = Model.model_validate(_read(inputs["train"] / "config.json"))
    return Facts(
        name=model_name(recipe),
        release=recipe.release,
        model=model,
        parameters=count.parameters(model, model.vocab_size),
        index=index,
        sources=_sources(recipe, stats, index, mixture, summary),
        curated=_curated(stats["sources"]),
        contamination=_read(found) if (found := inputs["curate"] / "contamination.json").exists() else None,
        mixture=mixture,
        bill=_read(inputs["plan"] / "bill.json"),
        summary=summary,
        scores=_read(inputs["evaluate"] / "scores.json"),
        manifests=manifests,
        totals=ledger.total(manifests.values()),
        sequence_length=recipe.train.sequence_length,
        dtype=recipe.train.dtype,
    )


def model_name(recipe: Recipe) -> str:
    """Name of the published folder. Raises RecipeError for one that cannot be a folder's."""
    name = recipe.release.model_name or recipe.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", name):
        raise RecipeError(
            f"release.model_name = {name!r}: it names a folder, so write it with letters, digits, '.', '_' and '-', "
            "a letter or digit first, at most 96"
        )
    return name


def _sources(
    recipe: Recipe, stats: Mapping[str, Any], index: Index, mixture: Mapping[str, Any], summary: Mapping[str, Any]
) -> tuple[SourceFacts, ...]:
    rows = []
    tables = stats["sources"] | stats.get("domains", {})
    for source in map(recipe.source, recipe.source_names):
        curated, held = tables[source.name], index.sources[source.name].train
        words = curated.get("words", ())
        told = f"; told apart by {', '.join(words)}" if words else ""
        rows.append(
            SourceFacts(
                name=source.name,
                description=source.description + told,
                licence=source.licence,
                language=source.language,
                licences=tuple(sorted({" ".join(name.split()) for name in curated["licences"]} or {source.licence})),
                documents=held.documents,
                tokens=held.tokens,
                trained_tokens=summary["tokens_by_source"].get(source.name, 0),
                share=mixture["weights"].get(source.name, 0.0),
                epochs=summary["epochs"].get(source.name, 0.0),
            )
        )
    return tuple(rows)


def _curated(tables: Mapping[str, Any]) -> tuple[Curated, ...]:
    return tuple(
        Curated(name, own["read"], own["kept"], Counter(own["dropped"]) + Counter(own["broken"]))
        for name, own in tables.items()
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
