"""Which step of curation a reason belongs to, in the order of the steps (docs/concepts/curation.md)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

BROKEN, QUALITY = "reading", "quality rules"

_OF = {
    "forgotten": "forgetting",
    "language": "language",
    "low_quality": "classifier",
    "contaminated": "contamination",
    "opt_out": "opt-outs",
    "personal_data": "personal data",
    "exact_duplicate": "duplicates",
    "near_duplicate": "duplicates",
    "boilerplate": "duplicates",
}

STEPS = (
    BROKEN, "forgetting", "opt-outs", QUALITY, "language", "classifier", "personal data", "contamination", "duplicates",
)  # fmt: skip


def step_of(reason: str) -> str:
    """The step that drops for this reason; every reason that no other step has is a quality rule's name."""
    return _OF.get(reason, QUALITY)


def steps_of(table: Mapping[str, Any]) -> Counter[str]:
    """Documents of one source of stats.json that each step took out."""
    taken = Counter({BROKEN: sum(table["broken"].values())})
    for reason, number in table["dropped"].items():
        taken[step_of(reason)] += number
    return taken
