"""`orfevre generate`: continue a prompt as it comes, or many prompts together, by any model that can be opened.

Texts go to stdout; how fast it went, and progress where stdout is not the terminal, go to stderr.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orfevre import console
from orfevre.errors import InputError, UserError
from orfevre.inference.batch import Batch, Ending, Piece
from orfevre.inference.decoder import Decoder
from orfevre.inference.sampling import Sampling
from orfevre.weights.opened import Opened

from .prompts import Prompt
from .speaker import Asked, Coder, open_decoder, open_model

SLOTS = 8
"""Prompts that are continued at once: a step reads an expert once for all of them."""


@dataclass
class _Written:
    """A request that is being answered."""

    prompt: Prompt
    text: str = ""
    ending: Ending | None = None


def generate(
    run: Path, prompts: Sequence[Prompt], sampling: Sampling, asked: Asked, *, as_json: bool = False, slots: int = SLOTS
) -> None:
    """Write each prompt with its continuation, or a JSON object a line, in the order of the prompts.

    Prompt n (from 0) draws with `sampling.seed + n`. Raises UserError for a folder that holds no model, and, before
    weights are read, for a prompt that is empty or too long.
    """
    if slots < 1:
        raise UserError(f"--slots {slots}: give 1 or more prompts to be continued at once")
    if not prompts:
        raise UserError("no prompt: give one, or --file with one a line")
    opened, coder = open_model(run)
    ids = [_encode(coder, prompt, opened) for prompt in prompts]
    room = max(map(len, ids)) + sampling.tokens
    decoder = open_decoder(opened, asked, min(slots, len(prompts)), room)
    batch = Batch(decoder, coder.decode)
    for number, each in enumerate(ids):
        batch.add(each, replace(sampling, seed=sampling.seed + number, ends=(*sampling.ends, *coder.ends)))
    started = time.monotonic()
    if len(prompts) == 1 and not as_json:
        endings = [_one(prompts[0], batch)]
    else:
        endings = _many(prompts, batch, as_json=as_json)
    _tell(endings, time.monotonic() - started, decoder)


def _one(prompt: Prompt, batch: Batch) -> Ending | None:
    """Piece by piece."""
    console.stream(prompt.text)
    ending = None
    try:
        for piece in batch.stream():
            console.stream(piece.text)
            ending = piece.ending or ending
    finally:
        console.stream("\n")
    return ending


def _many(prompts: Sequence[Prompt], batch: Batch, *, as_json: bool) -> list[Ending | None]:
    """Each as soon as it, and all before it, are complete."""
    written = [_Written(prompt) for prompt in prompts]
    shown = 0
    with _progress(len(prompts)) as bar:
        for piece in batch.stream():
            _note(written[piece.request], piece)
            if piece.ending and bar is not None:
                bar.advance()
            while shown < len(written) and written[shown].ending:
                console.stream(_line(written[shown]) if as_json else _paragraph(written[shown], first=shown == 0))
                shown += 1
    return [each.ending for each in written]


def _note(written: _Written, piece: Piece) -> None:
    written.text += piece.text
    written.ending = piece.ending


def _line(written: _Written) -> str:
    assert written.ending is not None, "a line is written of what has ended"
    ending = written.ending
    table = {
        "prompt": written.prompt.text,
        "text": written.text,
        "ended_by": ending.reason,
        "tokens": len(ending.ids),
        "prompt_tokens": ending.prompt_tokens,
        "reused_tokens": ending.reused_tokens,
    }
    return json.dumps(table, ensure_ascii=False) + "\n"


def _paragraph(written: _Written, *, first: bool) -> str:
    return f"{'' if first else chr(10)}{written.prompt.text}{written.text}\n"


@contextmanager
def _progress(total: int) -> Iterator[console.Bar | None]:
    """A bar, unless the texts themselves are what one sees there."""
    if sys.stdout.isatty():
        yield None
        return
    with console.progress("generating", total, "prompt") as bar:
        yield bar


def _encode(coder: Coder, prompt: Prompt, opened: Opened) -> list[int]:
    """Raises InputError for a prompt without text or with more than the model can take in."""
    if not prompt.text:
        raise InputError(f"{prompt.place} is empty; give a text to continue")
    ids, context = coder.encode(prompt.text), opened.config.context_length
    if len(ids) >= context:
        raise InputError(
            f"{prompt.place} ({prompt.text[:40]!r}...): {len(ids)} tokens, and the model takes 1 to {context - 1} (a "
            f"context of {context}, one of them new); shorten it"
        )
    return ids


def _tell(endings: Sequence[Ending | None], seconds: float, decoder: Decoder) -> None:
    done = [ending for ending in endings if ending]
    tokens, prompt = sum(len(ending.ids) for ending in done), sum(ending.prompt_tokens for ending in done)
    reused = sum(ending.reused_tokens for ending in done)
    of = f"of {len(done)} prompts" if len(done) > 1 else f"ended by {done[0].reason}" if done else "nothing"
    known = f", {reused} of them known from another" if reused else ""
    console.say(
        f"[{tokens} tokens in {console.duration(seconds)}, {tokens / max(seconds, 1e-9):.1f} tokens/s, {of}; prompt of "
        f"{prompt} tokens{known}]"
    )
    summary = getattr(decoder, "summary", None)
    if callable(summary):  # an OffloadedDecoder's: what its cache of experts did
        console.say(f"[{summary()}]")
