"""Tokens to text as they come: whole characters only, and never a part of a stop string."""

from collections.abc import Callable, Sequence

BROKEN = "\ufffd"
"""What a decoder writes for bytes that are not a whole character (yet)."""

Decode = Callable[[Sequence[int]], str]
"""Text of ids; special tokens left out."""


class Writer:
    """The text of one request. `add` each token, `finish` at the end; what they return, put together, is the text.

    Only the last few tokens are decoded again: those since the last whole character, and the piece before them, for
    the space that some tokenizers leave out at a text's start. Text that may be the beginning of a stop string is held
    back until it is known not to be.
    """

    def __init__(self, decode: Decode, prompt: Sequence[int] = (), stop: Sequence[str] = ()) -> None:
        self._decode, self._stop = decode, tuple(stop)
        self._before = list(prompt)
        """Tokens whose text is out already."""
        self._pending: list[int] = []
        self._held = ""
        self.stopped = False
        """A stop string was met; the text is complete."""

    def add(self, token: int) -> str:
        """The text that has become certain with this token, often none."""
        self._pending.append(token)
        text = self._new_text()
        if text.endswith(BROKEN):
            return ""
        self._before, self._pending = self._pending, []
        return self._release(text, last=False)

    def finish(self) -> str:
        """What was held back, when no more tokens come."""
        text = self._new_text() if self._pending else ""
        self._pending = []
        return self._release(text, last=True)

    def _new_text(self) -> str:
        before = self._decode(self._before)
        return self._decode([*self._before, *self._pending])[len(before) :]

    def _release(self, text: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [(place + len(each), place) for each in self._stop if (place := text.find(each)) >= 0]
        if found:  # the one that is complete first, whatever tokens the text came in; of two, the longer
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        keep = 0 if last else max((overlap(text, each) for each in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`, but not all of it."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
