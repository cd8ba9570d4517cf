"""A conversation with a model: its messages, and the ids that say them, of which only the new are computed.

The ids of an answer stay those that the model wrote, even where the tokenizer would have split its text otherwise, so
that what a slot holds is a beginning of what the next turn asks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orfevre import console
from orfevre.errors import InputError
from orfevre.inference.batch import Batch, Ending
from orfevre.inference.decoder import Decoder
from orfevre.inference.sampling import Sampling

from .speaker import Coder
from .template import Message, Template

MARK = "\ue000"
"""A character of nobody's language, put where an answer is to see what the format writes around it."""


@dataclass
class _Said:
    """A question as it was put, and its ids; once it is answered, with those of the answer."""

    text: str = ""
    ids: tuple[int, ...] = ()


class Conversation:
    """With a decoder whose slots are the conversation's alone. Turn n (from 0) draws with the seed plus n."""

    def __init__(
        self, decoder: Decoder, coder: Coder, template: Template, sampling: Sampling, system: str = ""
    ) -> None:
        self._coder, self._template, self._context = coder, template, decoder.context_length
        self._sampling = replace(sampling, stop=(*sampling.stop, *template.stop), ends=coder.ends)
        self._system: list[Message] = [{"role": "system", "content": system}] if system else []
        self._batch = Batch(decoder, coder.decode)
        self._said, self._turn = _Said(), 0
        self.messages: list[Message] = list(self._system)
        self.ending: Ending | None = None
        """Of the last answer."""

    def reset(self) -> None:
        """Forget all but the system message."""
        self.messages, self._said = list(self._system), _Said()

    def ask(self, content: str) -> Iterator[str]:
        """Pieces of the answer. An iterator that is closed before its end cancels the rest, and keeps what was said.

        Raises InputError, and forgets the message, where even alone it does not fit the context.
        """
        self.messages.append({"role": "user", "content": content})
        try:
            asked = self._fitting()
        except InputError:
            self.messages.pop()
            raise
        answer, sampling = "", replace(self._sampling, seed=self._sampling.seed + self._turn)
        self._turn += 1
        number = self._batch.add(asked.ids, sampling)
        try:
            for piece in self._batch.stream():
                self.ending = piece.ending
                answer += piece.text
                yield piece.text
        finally:
            if self._batch.busy:
                self._batch.cancel(number)
                for piece in self._batch.stream():
                    self.ending = piece.ending
                    answer += piece.text
            self._answered(asked, answer)

    def _fitting(self) -> _Said:
        """The conversation as it can be asked: its oldest turns go where there is no room for an answer."""
        room = min(self._sampling.tokens, self._context // 2)
        dropped = 0
        while len((asked := self._words()).ids) + room > self._context:
            if len(self.messages) - len(self._system) < 3:
                if len(asked.ids) < self._context:
                    break
                raise InputError(
                    f"a message of {len(asked.ids)} tokens does not fit the context of {self._context}; make it shorter"
                )
            del self.messages[len(self._system) : len(self._system) + 2]
            dropped += 1
        if dropped:
            console.warn(
                f"the conversation no longer fits the context of {self._context} tokens: its oldest "
                f"{'turn is' if dropped == 1 else f'{dropped} turns are'} forgotten"
            )
        return asked

    def _words(self) -> _Said:
        text = self._template.text(self.messages)
        if self._said.ids and (tail := self._after_answer()) is not None:
            return _Said(text, (*self._said.ids, *self._coder.encode_after(tail)))
        return _Said(text, tuple(self._coder.encode_marked(text)))

    def _after_answer(self) -> str | None:
        """What the format writes after the last answer; None where what it writes before is not what was asked then,
        because turns were forgotten or it changes what came earlier."""
        told = [*self.messages[:-2], {"role": "assistant", "content": MARK}, self.messages[-1]]
        before, _, after = self._template.text(told).partition(MARK)
        as_asked = before.rstrip(" ") == self._said.text.rstrip(" ") and after and MARK not in after
        return after if as_asked else None

    def _answered(self, asked: _Said, answer: str) -> None:
        """Note the answer. Its ids are kept without the end token, which a format writes after it or does not."""
        self.messages.append({"role": "assistant", "content": answer.strip()})
        new = list(self.ending.ids) if self.ending else []
        if new and new[-1] in self._coder.ends:
            new.pop()
        while new and not answer.startswith(self._text_after(asked.ids, new)):
            new.pop()  # of a stop string
        rest = answer[len(self._text_after(asked.ids, new)) :]  # of a token that the stop string cut through
        self._said = _Said(asked.text, (*asked.ids, *new, *(self._coder.encode_after(rest) if rest else ())))

    def _text_after(self, ids: Sequence[int], new: Sequence[int]) -> str:
        return self._coder.decode([*ids, *new])[len(self._coder.decode(ids)) :]
