"""Which slot a request gets, and how much of its prompt is there already.

A slot keeps what it holds after its request has ended, so that the next with the same beginning (a conversation's next
turn, the same instructions) computes only what differs. Of idle slots the one unused for longest is given up first.
"""

from collections.abc import Sequence

from .decoder import Decoder


class Slots:
    """`held[slot]`: the ids whose keys and values the decoder has there, always as many as `decoder.length(slot)`."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.held: list[list[int]] = [[] for _ in range(decoder.num_slots)]
        self._idle = list(range(decoder.num_slots))
        """The one unused for longest first."""
        for slot in self._idle:
            decoder.truncate(slot, 0)

    @property
    def any_idle(self) -> bool:
        return bool(self._idle)

    def take(self, ids: Sequence[int]) -> tuple[int, int]:
        """A slot for a prompt, and how many of its ids it holds: all but one at most, since one must give logits.

        The longest beginning that any slot holds, busy or idle, is copied; an idle slot that holds it and no more is
        taken as it is.
        """
        shared = [common(held, ids[:-1]) for held in self.held]
        source = max(range(len(shared)), key=lambda slot: (shared[slot], slot in self._idle, -len(self.held[slot])))
        length = shared[source]
        whole = source in self._idle and len(self.held[source]) == length > 0
        target = source if whole else self._idle[0]
        self._idle.remove(target)
        if target == source:
            self._decoder.truncate(target, length)
        else:
            self._decoder.copy(source, target, length)
        self.held[target] = list(ids[:length])
        return target, length

    def extend(self, slot: int, ids: Sequence[int]) -> None:
        self.held[slot] += ids

    def give_back(self, slot: int) -> None:
        self._idle.append(slot)


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences begin with alike."""
    size = min(len(first), len(second))
    if first[:size] == second[:size]:
        return size
    return next(place for place in range(size) if first[place] != second[place])
