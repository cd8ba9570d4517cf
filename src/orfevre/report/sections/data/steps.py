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
}
_BEGINS = {"optout": "opt-outs", "opt_out": "opt-outs", "personal": "personal data"}
_ENDS = {"duplicate": "duplicates"}

STEPS = (
    BROKEN, "forgetting", "opt-outs", QUALITY, "language", "classifier", "personal data", "contamination", "duplicates",
)  # fmt: skip


def step_of(reason: str) -> str:
    """The step that drops for this reason; every reason that no other step has is a quality rule's name."""
    if reason in _OF:
        return _OF[reason]
    begun = next((step for start, step in _BEGINS.items() if reason.startswith(start)), "")
    return begun or next((step for end, step in _ENDS.items() if reason.endswith(end)), QUALITY)


def steps_of(table: Mapping[str, Any]) -> Counter[str]:
    """Documents of one source of stats.json that each step took out."""
    taken = Counter({BROKEN: sum(table["broken"].values())})
    for reason, number in table["dropped"].items():
        taken[step_of(reason)] += number
    return taken
