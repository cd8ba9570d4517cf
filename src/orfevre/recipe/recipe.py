"""The whole recipe: one TOML file, validated, frozen."""

from typing import Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from . import domains
from .base import Section
from .curate import Curate
from .farm import Plan
from .mix import Group, Mix
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
        """The source of that name, or, of a part of a split source, a copy under the part's name."""
        whole = self.whole(name)
        return whole if whole.name == name else whole.part(name)

    def whole(self, name: str) -> Source:
        """The source of that name, or the one that the part of that name was split from."""
        return next(source for source in self.sources if name == source.name or name in source.parts)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Of every source that stages after curate know: parts stand in place of the source that was split."""
        return tuple(name for source in self.sources for name in source.parts)

    @property
    def target(self) -> dict[str, float]:
        """mix.target over source_names: what a split source was given is divided evenly over its parts."""
        return domains.spread(self.mix.target, self.sources)

    @property
    def groups(self) -> tuple[Group, ...]:
        """mix.groups over source_names, and the limits of each split source as a group of its parts."""
        return domains.groups(self.mix, self.sources)

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """mix.baselines over source_names, divided as the target is; a source that is not named has no share."""
        none = dict.fromkeys(self.source_names, 0.0)
        return {name: none | domains.spread(mixture, self.sources) for name, mixture in self.mix.baselines.items()}

    @property
    def phased(self) -> Train:
        """The training run with its phases' weights over source_names, divided as the target is."""
        return domains.phased(self.train, self.sources)

    @field_validator("sources", "tasks")
    @classmethod
    def _names_differ(cls, entries: tuple[Named, ...]) -> tuple[Named, ...]:
        names = [entry.name for entry in entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            kind = "sources" if isinstance(entries[0], Source) else "tasks"
            raise ValueError(f"two {kind} are named {twice[0]!r}; rename one of them")
        return entries

    @model_validator(mode="after")
    def _parts_are_new_names(self) -> Self:
        domains.refuse_taken_names(self.sources)
        return self

    @model_validator(mode="after")
    def _mix_names_sources(self) -> Self:
        for field in ("target", "min_weights", "max_weights"):
            for name in getattr(self.mix, field):
                if name not in self._nameable:
                    raise ValueError(f"mix.{field}.{name} is not a source; the sources are {self._known}")
            domains.refuse_overlap(f"mix.{field}", getattr(self.mix, field), self.sources)
        for baseline, mixture in self.mix.baselines.items():
            for name in mixture:
                if name not in self._nameable:
                    raise ValueError(f"mix.baselines.{baseline}.{name} is not a source; the sources are {self._known}")
            domains.refuse_overlap(f"mix.baselines.{baseline}", mixture, self.sources)
        return self

    @model_validator(mode="after")
    def _losses_are_measured(self) -> Self:
        for field in ("max_losses", "pareto"):
            for name in getattr(self.mix, field):
                if name not in self.source_names:
                    known = ", ".join(sorted(self.source_names))
                    raise ValueError(f"mix.{field}: {name} has no loss of its own; the sources are {known}")
        return self

    @model_validator(mode="after")
    def _phases_name_sources(self) -> Self:
        for phase in self.train.phases:
            if phase.weights == "mixture":
                continue
            if unknown := sorted(set(phase.weights) - self._nameable):
                raise ValueError(f"train.phases: {unknown[0]} is not a source; the sources are {self._known}")
            domains.refuse_overlap("train.phases", phase.weights, self.sources)
        return self

    @model_validator(mode="after")
    def _groups_name_sources(self) -> Self:
        taken = set(self._nameable)
        for group in self.mix.groups:
            if group.name in taken:
                raise ValueError(f"mix.groups: {group.name!r} names a source or another group too; rename it")
            taken.add(group.name)
            if unknown := sorted(set(group.sources) - self._nameable):
                raise ValueError(
                    f"mix.groups {group.name}: {unknown[0]} is not a source; the sources are {self._known}"
                )
        domains.refuse_narrow(self.mix, self.sources)
        return self

    @model_validator(mode="after")
    def _priority_names_sources(self) -> Self:
        self._require_whole("curate.dedup.priority:", self.curate.dedup.priority, "is not a source")
        return self

    @model_validator(mode="after")
    def _classifier_names_sources(self) -> Self:
        for field in ("good", "ordinary"):
            names = getattr(self.curate.classifier, field)
            self._require_whole(f"curate.classifier.{field} names", names, "which is not a source")
        return self

    @property
    def _nameable(self) -> set[str]:
        """Sources as the user wrote them, and parts of those that are split."""
        return {source.name for source in self.sources} | set(self.source_names)

    @property
    def _known(self) -> str:
        return ", ".join(sorted(self._nameable))

    def _require_whole(self, place: str, names: tuple[str, ...], said: str) -> None:
        """Curation reads whole sources: parts are not known before it is done."""
        known = sorted(source.name for source in self.sources)
        for name in names:
            if name not in known:
                comma = "," if said.startswith("which") else ""
                raise ValueError(f"{place} {name!r}{comma} {said}; the sources are {', '.join(known)}")

    @model_validator(mode="after")
    def _sequences_fit(self) -> Self:
        check, proxies = self.mix.check, (self.mix.training, self.mix.proxy)
        for path, training, model in (
            ("train", self.train, self.model),
            ("mix.training", *proxies),
            ("mix.check.training", check.training or proxies[0], check.model or proxies[1]),
            *((f"mix.ladder[{n}].training", rung.training, rung.model) for n, rung in enumerate(self.mix.ladder)),
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
