"""Continue one sequence of ids, token by token: the plain door for those who need no batch and no text."""

from collections.abc import Iterator, Sequence

from .batch import check_prompt
from .decoder import Decoder
from .sampling import Draw, Sampling, choose


def generate(decoder: Decoder, ids: Sequence[int], sampling: Sampling, slot: int = 0) -> Iterator[int]:
    """Yield new ids until one of `sampling.ends` (which is yielded), `sampling.tokens` or a full context.

    What the slot held is forgotten. Stop strings are text, and not heeded here. Raises UserError for a prompt that is
    empty, too long, or of another vocabulary.
    """
    most = min(sampling.tokens, check_prompt(decoder, ids))
    draw = Draw(sampling, set(ids))
    decoder.truncate(slot, 0)
    logits_V = decoder.prefill(slot, ids)
    for written in range(1, most + 1):
        token = choose(logits_V[None], [draw])[0]
        yield token
        if token in sampling.ends or written == most:
            return
        draw.seen.add(token)
        logits_V = decoder.step([slot], [token])[0]
