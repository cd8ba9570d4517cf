"""Stage order, which artefact feeds which; run what is stale and no more, and say why."""

import datetime
import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from orfevre import __version__, artifact, console, ledger
from orfevre.data import forgotten, sources
from orfevre.errors import WorkFolderError
from orfevre.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    name: str
    purpose: str
    reads: tuple[str, ...]
    """Stages whose artefacts it is given."""
    depends: tuple[str, ...]
    """Recipe keys that decide what it makes; `*` stands for every entry of a list."""


STAGES = (
    Stage(
        "curate",
        "raw sources -> clean, deduplicated documents",
        reads=(),
        depends=(
            *(f"sources.*.{key}" for key in ("name", "paths", "exclude", "format", "text_field", "fields")),
            *(f"sources.*.{key}" for key in ("split", "licence", "language", "quality", "domains", "max_bytes")),
            *(f"tasks.*.{key}" for key in ("name", "paths", "exclude", "format", "fields", "header")),
            "curate",
        ),
    ),
    Stage("tokenize", "documents -> tokenizer and token shards", reads=("curate",), depends=("tokenize",)),
    Stage(
        "mix",
        "token shards -> the mixture, chosen by measured small runs",
        reads=("tokenize",),
        depends=("mix", "sources.*.name", "sources.*.max_epochs", "train.tokens"),
    ),
    Stage(
        "plan",
        "the mixture and a farm -> the bill",
        reads=("tokenize", "mix"),
        depends=("plan", "model", "train", "sources.*.name", "sources.*.max_epochs"),
    ),
    Stage(
        "train",
        "shards and mixture -> a model",
        reads=("tokenize", "mix"),
        depends=(
            "model",
            *(f"train.{key}" for key in ("tokens", "batch_sequences", "sequence_length", "optim", "dtype", "phases")),
        ),
    ),
    Stage("evaluate", "model -> scores", reads=("tokenize", "train"), depends=("evaluate", "mix.target")),
    Stage(
        "release",
        "model, scores and ledger -> a published folder and its magnet link",
        reads=("curate", "tokenize", "mix", "plan", "train", "evaluate"),
        depends=("release", "name", "sources", "model"),
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}


class Door(Protocol):
    """What every `stage.py` offers."""

    def run(self, recipe: Recipe, inputs: Mapping[str, Path], out: Path) -> ledger.Tally: ...


def run_folder(recipe: Recipe) -> Path:
    return Path(recipe.work) / recipe.name


@dataclass(frozen=True)
class State:
    """How a stage's artefact stands against the recipe. `why` is empty when it is fresh."""

    stage: Stage
    manifest: ledger.Manifest | None
    why: str

    @property
    def fresh(self) -> bool:
        return not self.why


def run(recipe: Recipe, start: str | None = None) -> None:
    """Do every stage that is stale, in order; `start` forces that stage and, through its changes, those after it."""
    with artifact.lock(run_folder(recipe)):
        for stage in STAGES:
            state = inspect(recipe, stage)
            if state.fresh and stage.name != start:
                console.say(f"{stage.name}: fresh, skipped")
                continue
            _make(recipe, stage, "forced by --from" if state.fresh else state.why)


def run_one(recipe: Recipe, name: str) -> None:
    """Do one stage from inputs that must be there; warn when they are stale."""
    stage = BY_NAME[name]
    with artifact.lock(run_folder(recipe)):
        for earlier in stage.reads:
            if not (state := inspect(recipe, BY_NAME[earlier])).fresh:
                if state.manifest is None:
                    raise WorkFolderError(
                        f"{run_folder(recipe) / earlier}: not made yet, and {name} reads it; "
                        f"`orfevre run` makes everything, `orfevre {earlier}` this one"
                    )
                console.warn(f"{earlier} is stale ({state.why}); {name} uses it as it is")
        state = inspect(recipe, stage)
        if state.fresh:
            console.say(f"{name}: fresh, skipped (`orfevre run RECIPE --from {name}` does it again)")
        else:
            _make(recipe, stage, state.why)


def status(recipe: Recipe) -> list[State]:
    """How every stage stands, in order. Nothing is changed on disk."""
    return [inspect(recipe, stage, settle=False) for stage in STAGES]


def inspect(recipe: Recipe, stage: Stage, *, settle: bool = True) -> State:
    """Compare the artefact's manifest with what the recipe and the inputs ask for now."""
    folder = run_folder(recipe) / stage.name
    if settle:
        artifact.settle(folder)
    manifest = artifact.read(folder)
    if manifest is None:
        return State(
            stage, None, "continues" if artifact.begun(folder) == fingerprint(recipe, stage) else "not made yet"
        )
    return State(stage, manifest, _why_stale(recipe, stage, manifest))


def _why_stale(recipe: Recipe, stage: Stage, manifest: ledger.Manifest) -> str:
    now = _flat(depends(recipe, stage))
    before = _flat(manifest.depends)
    if changed := [key for key in sorted(now.keys() | before.keys()) if now.get(key) != before.get(key)]:
        key = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return f"{key} changed from {before.get(key)!r} to {now.get(key)!r}{more}"
    if manifest.seed != recipe.seed:
        return f"seed changed from {manifest.seed} to {recipe.seed}"
    inputs = input_digests(recipe, stage)
    if changed := [name for name in inputs if inputs[name] != manifest.inputs.get(name)]:
        return f"its input changed: {', '.join(changed)}"
    return ""


def depends(recipe: Recipe, stage: Stage) -> dict[str, Any]:
    """The part of the recipe that decides what the stage makes: {key: value}, keys as in `Stage.depends`."""
    table = recipe.model_dump(mode="json")
    return {key: _pick(table, key.split(".")) for key in stage.depends}


def input_digests(recipe: Recipe, stage: Stage) -> dict[str, str]:
    """Digest of everything the stage reads; "missing" where an input is not made yet."""
    if stage.name == "curate":
        return _raw_digests(recipe)
    manifests = {name: artifact.read(run_folder(recipe) / name) for name in stage.reads}
    digests = {name: manifest.digest() if manifest else "missing" for name, manifest in manifests.items()}
    if stage.name == "tokenize" and (given := Path(recipe.tokenize.file)).is_file():  # the stage refuses a missing one
        digests["tokenize.file"] = hashlib.sha256(given.read_bytes()).hexdigest()
    return digests


def _raw_digests(recipe: Recipe) -> dict[str, str]:
    """Of the files that curate reads, and of what it was asked to forget."""
    digests = {f"source {source.name}": sources.digest(sources.resolve(recipe, source)) for source in recipe.sources}
    digests |= {f"task {task.name}": sources.digest(sources.resolve_task(recipe, task)) for task in recipe.tasks}
    optout = recipe.curate.optout
    for name in ("robots", "tdmrep", "ai_txt", "domains", "urls"):
        if paths := getattr(optout, name):
            field = f"curate.optout.{name}"
            digests[field] = sources.digest(sources.resolve_list(recipe, field, paths))
    rules = forgotten.digest(run_folder(recipe))
    return digests | ({forgotten.FILE: rules} if rules else {})


def fingerprint(recipe: Recipe, stage: Stage) -> str:
    """What the stage's artefact would be made from now; an interrupted attempt goes on only under the same one."""
    return ledger.fingerprint(stage.name, depends(recipe, stage), input_digests(recipe, stage), recipe.seed)


def _make(recipe: Recipe, stage: Stage, why: str) -> None:
    console.say(f"{stage.name}: {stage.purpose} ({why})")
    folder = run_folder(recipe) / stage.name
    asked, inputs = depends(recipe, stage), input_digests(recipe, stage)
    identity = ledger.fingerprint(stage.name, asked, inputs, recipe.seed)
    draft, attempts, earlier_seconds = artifact.begin(folder, identity)
    (draft / "recipe.json").write_text(json.dumps(recipe.model_dump(mode="json"), indent=1), encoding="utf-8")
    with ledger.Meter(recipe.machine.watts) as meter:
        tally = _door(stage).run(recipe, {name: run_folder(recipe) / name for name in stage.reads}, draft)
    energy_rate = meter.energy_kwh / max(meter.wall_seconds, 1e-9)
    manifest = ledger.Manifest(
        format=ledger.FORMAT,
        stage=stage.name,
        run=recipe.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        orfevre=__version__,
        code=ledger.code_digest(),
        fingerprint=identity,
        depends=asked,
        inputs=inputs,
        outputs=artifact.outputs(draft),
        seed=recipe.seed,
        counts=tally.counts,
        notes=tally.notes,
        attempts=attempts,
        wall_seconds=meter.wall_seconds + earlier_seconds,
        flops=tally.flops,
        energy_kwh=meter.energy_kwh + energy_rate * earlier_seconds,  # interrupted attempts drew power too
        energy_method=meter.energy_method,
        peak_memory_mib=ledger.peak_memory_mib(),
        machine=ledger.machine(),
    )
    artifact.finish(folder, manifest)
    console.say(f"{stage.name}: done in {console.duration(manifest.wall_seconds)}, {_counted(tally.counts)}")


def _door(stage: Stage) -> Door:
    return cast(Door, importlib.import_module(f"orfevre.{stage.name}.stage"))  # here, so that torch waits for its stage


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items()) or "nothing counted"


def _pick(table: Any, path: Sequence[str]) -> Any:
    if not path:
        return table
    if path[0] == "*":
        return [_pick(entry, path[1:]) for entry in table]
    return _pick(table[path[0]], path[1:])


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves of a nested table by dotted path, so that a change can be named."""
    if isinstance(value, dict) and value:
        parts = [_flat(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()]
    elif isinstance(value, list | tuple) and value:
        parts = [_flat(inner, f"{path}[{index}]") for index, inner in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for part in parts for key, leaf in part.items()}
