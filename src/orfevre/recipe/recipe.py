"""The whole recipe: one TOML file, validated, frozen."""

from typing import Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from .base import Section
from .curate import Curate
from .farm import Plan
from .mix import Mix
from .model import Model, Train
from .outcome import Evaluate, Release
from .sources import Source
from .stages import Machine, Runner, Tokenize
from .tasks import Task

Named: TypeAlias = Source | Task


class Recipe(Section):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the run; its artefacts go to `<work>/<name>/`."""

    seed: int = Field(default=1, ge=0, lt=2**31)
    """Every random choice is drawn from this."""

    work: str = "work"
    """Folder for artefacts, relative to where the command runs."""

    data: str = ""
    """Folder that `{data}` stands for in source paths."""

    runner: Runner = Runner()
    """How work is spread over this machine."""

    machine: Machine = Machine()
    """What the ledger cannot measure of this machine."""

    sources: tuple[Source, ...] = Field(min_length=1)
    """Where text comes from."""

    tasks: tuple[Task, ...] = ()
    """Evaluation sets; training text is kept clean of them."""

    curate: Curate = Curate()
    """From raw sources to documents."""

    tokenize: Tokenize = Tokenize()
    """From documents to token shards."""

    mix: Mix
    """From shards to the mixture."""

    plan: Plan = Plan()
    """From the mixture to the bill."""

    model: Model = Model()
    """Shape of the model that is trained."""

    train: Train = Train()
    """The training run."""

    evaluate: Evaluate = Evaluate()
    """How it is scored."""

    release: Release = Release()
    """How it is published."""

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)

    @property
    def source_names(self) -> tuple[str, ...]:
        return tuple(source.name for source in self.sources)

    @field_validator("sources", "tasks")
    @classmethod
    def _names_differ(cls, entries: tuple[Named, ...]) -> tuple[Named, ...]:
        names = [entry.name for entry in entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            kind = "sources" if isinstance(entries[0], Source) else "tasks"
            raise ValueError(f"two {kind} are named {twice[0]!r}; rename one of them")
        return entries

    @model_validator(mode="after")
    def _mix_names_sources(self) -> Self:
        known = set(self.source_names)
        for field in ("target", "min_weights", "max_weights"):
            for name in getattr(self.mix, field):
                if name not in known:
                    raise ValueError(f"mix.{field}.{name} is not a source; the sources are {', '.join(sorted(known))}")
        return self

    @model_validator(mode="after")
    def _phases_name_sources(self) -> Self:
        named = {name for phase in self.train.phases if phase.weights != "mixture" for name in phase.weights}
        if unknown := sorted(named - set(self.source_names)):
            raise ValueError(
                f"train.phases: {unknown[0]} is not a source; the sources are {', '.join(sorted(self.source_names))}"
            )
        return self

    @model_validator(mode="after")
    def _groups_name_sources(self) -> Self:
        taken = set(self.source_names)
        for group in self.mix.groups:
            if group.name in taken:
                raise ValueError(f"mix.groups: {group.name!r} names a source or another group too; rename it")
            taken.add(group.name)
            if unknown := sorted(set(group.sources) - set(self.source_names)):
                raise ValueError(
                    f"mix.groups {group.name}: {unknown[0]} is not a source; the sources are "
                    f"{', '.join(sorted(self.source_names))}"
                )
        return self

    @model_validator(mode="after")
    def _priority_names_sources(self) -> Self:
        for name in self.curate.dedup.priority:
            if name not in self.source_names:
                known = ", ".join(sorted(self.source_names))
                raise ValueError(f"curate.dedup.priority: {name!r} is not a source; the sources are {known}")
        return self

    @model_validator(mode="after")
    def _classifier_names_sources(self) -> Self:
        known = {source.name for source in self.sources}
        for field in ("good", "ordinary"):
            for name in getattr(self.curate.classifier, field):
                if name not in known:
                    raise ValueError(
                        f"curate.classifier.{field} names {name!r}, which is not a source; the sources are "
                        f"{', '.join(sorted(known))}"
                    )
        return self

    @model_validator(mode="after")
    def _sequences_fit(self) -> Self:
        for path, training, model in (
            ("train", self.train, self.model),
            ("mix.training", self.mix.training, self.mix.proxy),
        ):
            if training.sequence_length > model.context_length:
                raise ValueError(
                    f"{path}.sequence_length {training.sequence_length} exceeds the model's context_length "
                    f"{model.context_length}; lower one or raise the other"
                )
            if model.mtp_depth >= training.sequence_length:
                raise ValueError(
                    f"{path}.sequence_length {training.sequence_length} leaves nothing for the model's mtp_depth "
                    f"{model.mtp_depth} to predict; lower mtp_depth"
                )
        return self
