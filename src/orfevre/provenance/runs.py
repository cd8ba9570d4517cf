"""Which run is meant, and which documents of it are looked at: the tables of curate/, row after row."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orfevre import artifact, pipeline, recipe
from orfevre.errors import InputError
from orfevre.recipe import Recipe

KEPT, DROPPED = "documents", "dropped"
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Run:
    """A run's folder and the recipe it is made from."""

    folder: Path
    recipe: Recipe
    named: str
    """As the user wrote it, for the commands that messages suggest."""

    @property
    def curate(self) -> Path:
        return self.folder / "curate"

    def has(self, stage: str) -> bool:
        return artifact.read(self.folder / stage) is not None

    def tables(self) -> list[tuple[str, Path]]:
        """(KEPT or DROPPED, Parquet file), the documents first. Raises WorkFolderError before curate has finished."""
        artifact.require(self.curate)
        return [(kind, path) for kind in (KEPT, DROPPED) for path in sorted((self.curate / kind).glob("*.parquet"))]


def find(named: str) -> Run:
    """From a recipe file, or from a run's folder that has a finished stage. Raises InputError for anything else."""
    path = Path(named)
    if path.suffix == ".toml":
        loaded = recipe.load(path)
        return Run(pipeline.run_folder(loaded), loaded, named)
    kept = [path / stage.name / "recipe.json" for stage in pipeline.STAGES]
    found = next((each for each in kept if each.is_file()), None)
    if found is None:
        raise InputError(f"{named}: neither a recipe (.toml) nor the folder of a run with a finished stage")
    return Run(path, recipe.from_json(found), named)  # the folder may have been moved since: recipe.work is not asked


def rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of these columns in the order of the file, a few at a time in memory; columns it lacks are None."""
    for batch in batches(path, columns):
        yield from batch.to_pylist()


def batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Record batches of the columns that the file has."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        present = [name for name in columns if name in file.schema_arrow.names]
        yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=present)


def matching(
    path: Path, column: str, values: Collection[str], columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Rows whose column is one of the values: whole, or of these columns. Tables are ordered by id: that is quick."""
    import pyarrow.dataset as ds

    chosen = ds.field(column).isin(list(values))
    table = ds.dataset(path, format="parquet").to_table(columns=None if columns is None else [*columns], filter=chosen)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def load(path: Path) -> dict[str, Any]:
    """A JSON object of an artefact."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
