"""Continuous batching: requests come and go while others are being written, and none waits for a batch to end.

Each round, every running request gets its next token in one step of the decoder; then up to `chunk` tokens of waiting
prompts are taken in, first come, first served. So a long prompt holds the others up by a chunk a round, and no more.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orfevre.errors import UserError

from .decoder import Decoder
from .sampling import Draw, Sampling, choose
from .slots import Slots
from .text import Decode, Writer

CHUNK = 256
"""Tokens of prompts in a round."""

Reason = Literal["end", "stop", "tokens", "context", "cancelled"]
"""An end token; a stop string; as many tokens as were asked for; no more room; told to stop."""


@dataclass(frozen=True)
class Ending:
    """How a request ended."""

    reason: Reason
    ids: tuple[int, ...]
    """What was written, with the end token or the tokens of the stop string."""
    prompt_tokens: int
    reused_tokens: int
    """Of the prompt, those that a slot held already."""


@dataclass(frozen=True)
class Piece:
    """New text of a request; its last piece, maybe without text, says how it ended."""

    request: int
    text: str
    ending: Ending | None = None


@dataclass
class _Running:
    number: int
    prompt: list[int]
    draw: Draw
    writer: Writer
    most: int
    """New tokens that are asked for and have room."""
    slot: int = -1
    todo: list[int] = field(default_factory=list)
    """Ids of the prompt that are still to be taken in."""
    reused: int = 0
    new: list[int] = field(default_factory=list)


class Batch:
    """Requests over one decoder, whose slots are the batch's alone from now on."""

    def __init__(self, decoder: Decoder, decode: Decode, chunk: int = CHUNK) -> None:
        self._decoder, self._decode, self._chunk = decoder, decode, chunk
        self._slots = Slots(decoder)
        self._waiting: deque[_Running] = deque()
        self._entering: _Running | None = None
        """The one whose prompt is being taken in."""
        self._running: list[_Running] = []
        self._ended: list[Piece] = []
        self._added = 0

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._entering or self._running or self._ended)

    def add(self, ids: Sequence[int], sampling: Sampling) -> int:
        """Queue a request; its number, counted from 0. Raises UserError for a prompt that cannot be continued."""
        room = check_prompt(self._decoder, ids)
        writer = Writer(self._decode, ids, sampling.stop)
        request = _Running(self._added, list(ids), Draw(sampling, set(ids)), writer, min(sampling.tokens, room))
        self._waiting.append(request)
        self._added += 1
        return request.number

    def cancel(self, number: int) -> None:
        """End a request now; its slot is free for the next. Nothing happens to one that has ended."""
        for request in [*self._waiting, *self._running, *([self._entering] if self._entering else [])]:
            if request.number == number:
                self._ended.append(self._end(request, "", "cancelled"))

    def stream(self) -> Iterator[Piece]:
        """Pieces as they come, until every request has ended; more may be added meanwhile."""
        while self.busy:
            yield from self.round()

    def round(self) -> list[Piece]:
        """A token for each running request, then a chunk of waiting prompts; the pieces that came of it."""
        pieces, self._ended = self._ended, []
        if running := list(self._running):
            last = [request.new[-1] for request in running]
            logits_BV = self._decoder.step([request.slot for request in running], last)
            for request, token in zip(running, last, strict=True):
                self._slots.extend(request.slot, [token])
            chosen = choose(logits_BV, [request.draw for request in running])
            pieces += [self._accept(request, token) for request, token in zip(running, chosen, strict=True)]
        pieces += self._take_in()
        return [piece for piece in pieces if piece.text or piece.ending]

    def _take_in(self) -> list[Piece]:
        pieces, left = [], self._chunk
        while left and (request := self._entering or self._admit()):
            part, request.todo = request.todo[:left], request.todo[left:]
            logits_V = self._decoder.prefill(request.slot, part)
            self._slots.extend(request.slot, part)
            left -= len(part)
            if not request.todo:
                self._entering = None
                self._running.append(request)
                pieces.append(self._accept(request, choose(logits_V[None], [request.draw])[0]))
        return pieces

    def _admit(self) -> _Running | None:
        if not self._waiting or not self._slots.any_idle:
            return None
        self._entering = request = self._waiting.popleft()
        request.slot, request.reused = self._slots.take(request.prompt)
        request.todo = request.prompt[request.reused :]
        return request

    def _accept(self, request: _Running, token: int) -> Piece:
        """Write a token down, and end the request where it is the last."""
        request.new.append(token)
        request.draw.seen.add(token)
        settings = request.draw.settings
        if token in settings.ends:
            return self._end(request, "", "end")
        text = request.writer.add(token)
        if request.writer.stopped:
            return self._end(request, text, "stop")
        if len(request.new) == request.most:
            return self._end(request, text, "tokens" if request.most == settings.tokens else "context")
        return Piece(request.number, text)

    def _end(self, request: _Running, text: str, reason: Reason) -> Piece:
        text += request.writer.finish()
        if request.writer.stopped and reason != "cancelled":
            reason = "stop"
        if request is self._entering:
            self._entering = None
        for queue in (self._waiting, self._running):
            if request in queue:
                queue.remove(request)
        if request.slot >= 0:
            self._slots.give_back(request.slot)
        return Piece(
            request.number, text, Ending(reason, tuple(request.new), len(request.prompt), request.reused)
        )  # fmt: skip


def check_prompt(decoder: Decoder, ids: Sequence[int]) -> int:
    """New tokens that there is room for. Raises UserError for a prompt that cannot be continued."""
    if not ids:
        raise UserError("the prompt is empty; begin with the <s> token at least")
    if wrong := [token for token in ids if not 0 <= token < decoder.vocab_size]:
        raise UserError(
            f"token id {wrong[0]} is outside the vocabulary of {decoder.vocab_size} (0 to {decoder.vocab_size - 1}); "
            "use the tokenizer that the model was made with"
        )
    room = decoder.context_length - len(ids)
    if room < 1:
        raise UserError(
            f"a prompt of {len(ids)} tokens: the model takes 1 to {decoder.context_length - 1} (a context of "
            f"{decoder.context_length}, one of them new); give a shorter prompt"
        )
    return room
