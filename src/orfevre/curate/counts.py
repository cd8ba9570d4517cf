"""What a source's tables add up to, for stats.json."""

import json
from collections import Counter
from typing import Any

import pyarrow.compute as pc

from orfevre.data.documents import TRAIN, VALIDATION


class Counts:
    """Sums over the tables that are written, range after range."""

    def __init__(self) -> None:
        self._broken: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._licences: Counter[str] = Counter()
        self._edits: Counter[str] = Counter()
        self._documents: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, documents: Any, dropped: Any, broken: Any) -> None:
        """Tables in the schemas of data/documents.py; `broken` tells which of `dropped` were no records (boolean)."""
        reasons = dropped.column("reason")
        self._broken.update(_values(reasons.filter(broken)))
        self._dropped.update(_values(reasons.filter(pc.invert(broken))))
        self.add_kept(documents)

    def add_kept(self, documents: Any) -> None:
        """Documents alone: of a part of a source nobody knows what was dropped."""
        self._languages.update(_values(documents.column("language")))
        self._licences.update(_values(documents.column("licence")))
        edits = documents.column("edits")
        for made in edits.filter(pc.not_equal(edits, "")).to_pylist():
            self._edits.update(json.loads(made))
        self._documents.update(_values(documents.column("split")))
        for side in (TRAIN, VALIDATION):
            own = documents.column("num_bytes").filter(pc.equal(documents.column("split"), side))
            self._bytes[side] += pc.sum(own).as_py() or 0

    def table(self) -> dict[str, Any]:
        read = self._documents.total() + self._dropped.total() + self._broken.total()
        gone = {"dropped": dict(sorted(self._dropped.items())), "broken": dict(sorted(self._broken.items()))}
        return {"read": read} | gone | self.kept()

    def kept(self) -> dict[str, Any]:
        return {
            "kept": self._documents.total(),
            "kept_bytes": self._bytes.total(),
            "edits": dict(sorted(self._edits.items())),
            TRAIN: {"documents": self._documents[TRAIN], "bytes": self._bytes[TRAIN]},
            VALIDATION: {"documents": self._documents[VALIDATION], "bytes": self._bytes[VALIDATION]},
            "languages": dict(sorted(self._languages.items())),
            "licences": dict(sorted(self._licences.items())),
        }


def _values(column: Any) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()}
