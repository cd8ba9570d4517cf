"""Disjoint sets of documents (union-find with path halving), on plain arrays."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Groups:
    """Every document begins alone; the root of a set is always its first member, so order of joining is no matter."""

    def __init__(self, num_members: int) -> None:
        self._parent = np.arange(num_members, dtype=np.int64)

    def find(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = int(parent[member])
        return member

    def join(self, pairs: Iterable[tuple[int, int]]) -> None:
        for left, right in pairs:
            a, b = self.find(left), self.find(right)
            self._parent[max(a, b)] = min(a, b)

    def roots(self) -> NDArray[np.int64]:
        """The root of every member."""
        parent = self._parent
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                self._parent = parent
                return parent.copy()
            parent = above
