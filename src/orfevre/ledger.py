"""What a manifest records, how it is measured, and sums over a run's manifests."""

import hashlib
import os
import platform
import resource
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from orfevre import __version__

FORMAT = 2
"""Version of the work folder's layout. Raised whenever an artefact of an older orfevre can no longer be read."""


@dataclass
class Tally:
    """What a stage reports of its own work, for its manifest."""

    counts: dict[str, int] = field(default_factory=dict)
    """Whatever was counted: documents, tokens, runs."""

    flops: float = 0.0
    """Floating-point operations of training and evaluating models, by the 6N + attention rule."""

    notes: dict[str, str] = field(default_factory=dict)
    """Facts in words that the release must know."""


class Output(BaseModel):
    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """manifest.json: what one artefact is, what it was made from, and what that took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int
    stage: str
    run: str
    created: str
    """UTC, ISO 8601."""
    orfevre: str
    code: str
    """First 12 hex digits of the SHA-256 of the package's source."""
    fingerprint: str
    depends: dict[str, Any]
    """The part of the recipe this artefact was made from."""
    inputs: dict[str, str]
    """Digest of each artefact (or, for curate, of the list of source files) that was read."""
    outputs: dict[str, Output]
    seed: int
    counts: dict[str, int]
    notes: dict[str, str]
    attempts: int
    wall_seconds: float
    flops: float
    energy_kwh: float
    energy_method: str
    peak_memory_mib: float
    """Largest resident size of one process up to the end of the stage."""
    machine: dict[str, str]

    def digest(self) -> str:
        """Identity of the artefact's content: equal bytes, equal digest, whenever and wherever they were made."""
        lines = "".join(f"{path}\0{out.sha256}\n" for path, out in sorted(self.outputs.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class Totals:
    wall_seconds: float
    flops: float
    energy_kwh: float


def total(manifests: Iterable[Manifest]) -> Totals:
    """Sums over the artefacts of a run."""
    made = list(manifests)
    return Totals(
        wall_seconds=sum(manifest.wall_seconds for manifest in made),
        flops=sum(manifest.flops for manifest in made),
        energy_kwh=sum(manifest.energy_kwh for manifest in made),
    )


class Meter:
    """Wall time, energy and peak memory of what runs inside it.

    Energy is the processor's RAPL counter where it can be read (it leaves out memory, disk and power supply), else
    `watts` x time. Which one was used is said in `energy_method`.
    """

    def __init__(self, watts: float) -> None:
        self.watts = watts
        self.wall_seconds = 0.0
        self.energy_kwh = 0.0
        self.energy_method = ""

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._joules = _rapl_joules()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_seconds = time.monotonic() - self._started
        end = _rapl_joules()
        if self._joules is not None and end is not None and end >= self._joules:
            self.energy_kwh = (end - self._joules) / 3.6e6
            self.energy_method = "RAPL package energy"
        else:
            self.energy_kwh = self.watts * self.wall_seconds / 3.6e6
            self.energy_method = f"estimate: machine.watts = {self.watts:g} x wall time"


def _rapl_joules() -> float | None:
    domains = sorted(Path("/sys/class/powercap").glob("intel-rapl:[0-9]"))
    try:
        return sum(int((domain / "energy_uj").read_text()) for domain in domains) / 1e6 if domains else None
    except (OSError, ValueError):
        return None


def peak_memory_mib() -> float:
    """Largest resident size so far of this process or of one of its children, MiB."""
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return max(own, children) / unit


@cache
def machine() -> dict[str, str]:
    """What ran it, without names of hosts or users."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(usable_cores()),
        "memory_gib": f"{memory_gib:.1f}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def code_digest() -> str:
    """First 12 hex digits of a SHA-256 over this package's Python and C source."""
    root = Path(__file__).parent
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(path for pattern in ("*.py", "*.c") for path in root.rglob(pattern)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def fingerprint(stage: str, depends: Mapping[str, Any], inputs: Mapping[str, str], seed: int) -> str:
    """What decides whether an artefact is stale: format, stage, its part of the recipe, its inputs, the seed."""
    text = repr((FORMAT, stage, _sorted(depends), sorted(inputs.items()), seed))
    return hashlib.sha256(text.encode()).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [(key, _sorted(value[key])) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value
