"""Continue a text: sampling from the model token by token, with a key-value cache."""

from collections.abc import Iterator, Sequence

import torch

from orfevre.errors import UserError

from .attention import KeyValueCache
from .transformer import Transformer


def generate(  # noqa: PLR0913 - every one of these is a plain word of sampling
    model: Transformer,
    ids: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    eos: int | None = None,
) -> Iterator[int]:
    """Yield new token ids until `eos` (which is yielded), `max_new_tokens` or a full context.

    `temperature` 0 takes the likeliest token; `top_k` 0 and `top_p` 1 keep every token. Raises UserError for a prompt
    that is empty or leaves no room in the context.
    """
    context = model.config.context_length
    if not ids or len(ids) >= context:
        raise UserError(
            f"a prompt of {len(ids)} tokens: the model takes 1 to {context - 1} (context_length {context}, one of them "
            "new); give a shorter prompt" if ids else "the prompt is empty; begin with the <s> token at least"
        )  # fmt: skip
    size = min(context, len(ids) + max_new_tokens)
    caches = [KeyValueCache(size) for _ in model.blocks]
    device = model.embedding.weight.device
    generator = torch.Generator().manual_seed(seed)
    new = list(ids)
    for _ in range(size - len(ids)):
        with torch.inference_mode():
            x_BSH, _ = model.hidden(torch.tensor([new], device=device), caches)
            logits_V = model.output(x_BSH[0, -1]).float().cpu()
            new = [_choose(logits_V, temperature, top_k, top_p, generator)]
        yield new[0]
        if new[0] == eos:
            return


def _choose(logits_V: torch.Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities, order = (logits_V / temperature).softmax(0).sort(descending=True, stable=True)
    if top_k:
        probabilities = probabilities[:top_k]
    # nucleus (arXiv 1904.09751): the fewest likeliest tokens whose mass reaches top_p; the first always stays
    before = probabilities.cumsum(0) - probabilities
    probabilities = torch.where(before < top_p, probabilities, 0.0)
    probabilities[0] = torch.clamp(probabilities[0], min=1e-30)
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
