"""What serving asks of a model: fill a slot with a prompt, then one token at a time for many slots together.

`TorchDecoder` does it with the model's own modules, in float32 or bfloat16; it is the oracle of the native one.

Shapes: B slots in a step, V vocabulary, H hidden.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, cast

import torch

from orfevre.errors import UserError
from orfevre.model.block import Block
from orfevre.model.transformer import Transformer, check_ids

from .cache import SlotCaches

PREFILL_TOKENS = 512
"""Of a prompt at once: enough rows for matrix products to be at their best, and memory stays bounded."""


class Decoder(Protocol):
    num_slots: int
    context_length: int
    vocab_size: int

    def prefill(self, slot: int, ids: Sequence[int]) -> torch.Tensor:
        """Append ids to what the slot holds; float32 logits `[V]` of the token after the last.

        Raises UserError for an id out of range, no ids, or more than the context has room for.
        """

    def step(self, slots: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
        """Append one token to each of B different slots; float32 logits `[B, V]`. Raises UserError as `prefill`."""

    def length(self, slot: int) -> int:
        """Positions that the slot holds."""

    def truncate(self, slot: int, length: int) -> None:
        """Forget all but the first positions; 0 frees the slot."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Prefix reuse: the first positions of `source` become what `target` holds."""


class TorchDecoder:
    """A Decoder over a Transformer whose floating-point weights all have one dtype."""

    prefill_tokens: int | None = None
    """Where it is not PREFILL_TOKENS."""

    def __init__(self, model: Transformer, num_slots: int = 1) -> None:
        self.model, self.num_slots = model.eval(), num_slots
        self.context_length, self.vocab_size = model.config.context_length, model.vocab_size
        self.caches = SlotCaches(model.config, num_slots, model.output.weight.dtype)

    def prefill(self, slot: int, ids: Sequence[int]) -> torch.Tensor:
        check_room(self, [slot], len(ids))
        ids_1S = torch.tensor([list(ids)], dtype=torch.int64)
        check_ids(ids_1S, self.vocab_size)
        with torch.inference_mode():
            for piece_1S in torch.split(ids_1S, self.prefill_tokens or PREFILL_TOKENS, dim=1):
                x_1SH, _ = self.model.hidden(piece_1S, self.caches.of(slot))
                self.caches.lengths[slot] += piece_1S.shape[1]
            return self.model.output(x_1SH[0, -1]).float()  # type: ignore[no-any-return]

    def step(self, slots: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
        check_room(self, slots, 1)
        ids_B1 = torch.tensor(ids, dtype=torch.int64)[:, None]
        check_ids(ids_B1, self.vocab_size)
        with torch.inference_mode():
            logits_BV = self._step(slots, ids_B1)
        for slot in slots:
            self.caches.lengths[slot] += 1
        return logits_BV

    def _step(self, slots: Sequence[int], ids_B1: torch.Tensor) -> torch.Tensor:
        """Experts take all slots together; attention goes slot by slot, for each has its own length."""
        model = self.model
        caches = [self.caches.of(slot) for slot in slots]
        places = [self.caches.lengths[slot] for slot in slots]
        x_B1H = model.embedding(ids_B1).to(model.output.weight.dtype)
        for layer, block in enumerate(cast(Iterable[Block], model.blocks)):
            normal_B1H = block.attention_norm(x_B1H)
            rows = [
                block.attention(normal_B1H[b : b + 1], model.cos[p : p + 1], model.sin[p : p + 1], caches[b][layer])
                for b, p in enumerate(places)
            ]
            x_B1H = x_B1H + torch.cat(rows)
            y_BH, _ = block.moe(block.moe_norm(x_B1H)[:, 0])
            x_B1H = x_B1H + y_BH[:, None]
        return model.output(model.norm(x_B1H[:, 0])).float()  # type: ignore[no-any-return]

    def length(self, slot: int) -> int:
        return self.caches.lengths[slot]

    def truncate(self, slot: int, length: int) -> None:
        self.caches.truncate(slot, length)

    def copy(self, source: int, target: int, length: int) -> None:
        self.caches.copy(source, target, length)


def check_room(decoder: Decoder, slots: Sequence[int], num_new: int) -> None:
    """Raises UserError where nothing is to be added, or more than a slot has room for."""
    if num_new < 1:
        raise UserError("the prompt is empty; begin with the <s> token at least")
    if len(set(slots)) != len(slots):
        raise ValueError(f"slots {list(slots)} are not all different")
    for slot in slots:
        if decoder.length(slot) + num_new > decoder.context_length:
            raise UserError(
                f"{decoder.length(slot) + num_new} tokens are more than the model's context_length "
                f"{decoder.context_length}; give a shorter prompt or ask for fewer tokens"
            )
