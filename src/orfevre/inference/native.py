"""A decoder that takes a step of all its sequences, or a chunk of a prompt, in one call of the C kernels.

Where the kernels are not built, or with kernels="torch", `prompt` does the same in torch: equal, and slower.

Shapes: B sequences, L layers, K key-value heads, C capacity of the cache, D head width, V vocabulary.
"""

import ctypes
from collections.abc import Sequence
from functools import cache

import torch

from orfevre import console
from orfevre.errors import UserError
from orfevre.kernels import decode
from orfevre.kernels.pool import pool
from orfevre.model.attention import rotary_tables
from orfevre.model.transformer import check_ids

from .decoder import PREFILL_TOKENS, check_room
from .held import Held, HeldLayer
from .products import aligned, matrix
from .prompt import Prompt


class NativeDecoder:
    """A Decoder over held weights, on the CPU. Keys and values are bfloat16, float32 where the weights are."""

    def __init__(
        self,
        held: Held,
        num_slots: int,
        context_length: int = 0,
        num_threads: int = 0,
        kernels: str | None = None,
    ) -> None:
        """`context_length` 0 is the model's, `num_threads` 0 is torch's. `kernels`: the best that the machine has, or
        one of `decode.levels()`, or `torch`. Raises UserError for a longer context than the model's."""
        config, self.held = held.config, held
        self.num_slots, self.vocab_size = num_slots, held.vocab_size
        self.context_length = context_length or config.context_length
        if self.context_length > config.context_length:
            raise UserError(
                f"a context of {self.context_length} is longer than the model's context_length "
                f"{config.context_length}; ask for less"
            )
        self._level, self._pool = _level(kernels), None
        if self._level >= 0:
            self._pool = pool(num_threads or torch.get_num_threads())
        dtype = torch.float32 if held.precision == "float32" else torch.bfloat16
        shape = (config.num_layers, 2, num_slots, config.num_kv_heads, self.context_length, config.head_width)
        self.cache = torch.empty(shape, dtype=dtype)
        """Keys and values, `[L, 2, slots, K, C, D]`."""
        self._lengths = [0] * num_slots
        self._prompt = Prompt(held, self.cache, self._pool, self._level)
        if self._pool is not None:
            self._native = _Struct(held, self.cache, self._pool)

    def prefill(self, slot: int, ids: Sequence[int]) -> torch.Tensor:
        """Append ids to what the slot holds; float32 logits `[V]` after the last.

        Raises UserError for an id out of range, no ids, or more than the context has room for.
        """
        check_room(self, [slot], len(ids))
        ids_S = torch.tensor(ids)
        check_ids(ids_S, self.vocab_size)
        for part in torch.split(ids_S, PREFILL_TOKENS):
            logits_V = self._extend(slot, part)
            self._lengths[slot] += len(part)
        return logits_V

    def step(self, slots: Sequence[int], ids: Sequence[int], experts_LBk: torch.Tensor | None = None) -> torch.Tensor:
        """One token for each of B different slots; float32 logits `[B, V]`.

        `experts_LBk` (int64 `[L, B, k]`) sends the tokens to these experts in place of the router's choice, so that
        two precisions can be compared without a routing that flips. Raises UserError as `prefill` does.
        """
        check_room(self, slots, 1)
        check_ids(torch.tensor(ids), self.vocab_size)
        lengths = [self._lengths[slot] for slot in slots]
        if self._pool is None:
            logits_BV = self._step_in_torch(slots, ids, lengths, experts_LBk)
        else:
            given = torch.tensor([list(slots), list(ids), lengths])
            logits_BV = self._native.step(self._level, given, 0, experts_LBk)
        for slot in slots:
            self._lengths[slot] += 1
        return logits_BV

    def length(self, slot: int) -> int:
        return self._lengths[slot]

    def truncate(self, slot: int, length: int) -> None:
        """Forget all but the first positions (0 frees the slot)."""
        if not 0 <= length <= self._lengths[slot]:
            raise ValueError(f"slot {slot} holds {self._lengths[slot]} positions, not {length}")
        self._lengths[slot] = length

    def copy(self, source: int, target: int, length: int) -> None:
        """The first positions of source become target's."""
        if not 0 <= length <= self._lengths[source]:
            raise ValueError(f"slot {source} holds {self._lengths[source]} positions, not {length}")
        self.cache[:, :, target, :, :length] = self.cache[:, :, source, :, :length]
        self._lengths[target] = length

    def _extend(self, slot: int, ids_S: torch.Tensor) -> torch.Tensor:
        """Logits after the last of a chunk."""
        past, num = self._lengths[slot], len(ids_S)
        if self._pool is None or self.held.precision == "float32":  # torch's float32 products are the faster ones
            return self._prompt.logits(self._prompt.extend(slot, ids_S, past))
        given = torch.stack((torch.full_like(ids_S, slot), ids_S, torch.arange(past, past + num)))
        return self._native.step(self._level, given, num - 1)[0]

    def _step_in_torch(
        self, slots: Sequence[int], ids: Sequence[int], lengths: list[int], experts_LBk: torch.Tensor | None
    ) -> torch.Tensor:
        rows = []
        for b, (slot, token, length) in enumerate(zip(slots, ids, lengths, strict=True)):
            experts = None if experts_LBk is None else experts_LBk[:, b : b + 1]
            rows.append(self._prompt.logits(self._prompt.extend(slot, torch.tensor([token]), length, experts)))
        return torch.stack(rows)


class _Struct:
    """The model as the kernels see it, and what keeps its addresses alive."""

    def __init__(self, held: Held, cache: torch.Tensor, threads: int) -> None:
        config, library = held.config, decode.library()
        assert library is not None
        self._library, self._threads, self._held, self._cache = library, threads, held, cache
        half = config.head_width // 2
        self._cos, self._sin = (table[: cache.shape[4], :half].contiguous() for table in rotary_tables(config))
        self._experts = [_matrices(layer) for layer in held.layers]
        pairs = zip(held.layers, self._experts, cache, strict=True)
        self._layers = (decode.Layer * config.num_layers)(*(_layer(*each) for each in pairs))
        self._model = decode.Model(
            hidden=config.hidden_size,
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_width=config.head_width,
            ffn=config.ffn_size,
            num_experts=config.num_experts,
            num_chosen=config.experts_per_token,
            vocab=held.vocab_size,
            capacity=cache.shape[4],
            window=config.sliding_window,
            sigmoid=int(config.router == "sigmoid"),
            cache_float=int(cache.dtype == torch.float32),
            norm_eps=config.norm_eps,
            cos=self._cos.data_ptr(),
            sin=self._sin.data_ptr(),
            embedding=matrix(held.embedding),
            norm=held.norm.data_ptr(),
            output=matrix(held.output),
            layers=self._layers,
        )
        self._scratch, self._batch = torch.empty(0, dtype=torch.uint8), 0

    def step(
        self, level: int, given_3B: torch.Tensor, first_wanted: int, experts_LBk: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Slots, ids and positions (int64, rows of `given_3B`) to logits `[B - first_wanted, V]`."""
        num = given_3B.shape[1]
        if num > self._batch:
            size = self._library.orfevre_decode_scratch(self._model, self._threads, num)
            self._scratch, self._batch = aligned(size), num
        logits = torch.empty(num - first_wanted, self._held.vocab_size)
        if experts_LBk is not None:
            experts_LBk = experts_LBk.contiguous()
        self._library.orfevre_decode_step(
            self._model, self._threads, level, num, *(row.data_ptr() for row in given_3B), first_wanted,
            self._scratch.data_ptr(), logits.data_ptr(), None if experts_LBk is None else experts_LBk.data_ptr(),
        )  # fmt: skip
        return logits


def _matrices(layer: HeldLayer) -> tuple[ctypes.Array[decode.Matrix], ctypes.Array[decode.Matrix]]:
    kind = decode.Matrix * len(layer.experts)
    return kind(*(matrix(w13) for w13, _ in layer.experts)), kind(*(matrix(w2) for _, w2 in layer.experts))


def _layer(
    held: HeldLayer,
    experts: tuple[ctypes.Array[decode.Matrix], ctypes.Array[decode.Matrix]],
    cache: torch.Tensor,
) -> decode.Layer:
    shared_w13, shared_w2 = held.shared or (None, None)
    return decode.Layer(
        attention_norm=held.attention_norm.data_ptr(),
        moe_norm=held.moe_norm.data_ptr(),
        query_norm=_address(held.query_norm),
        key_norm=_address(held.key_norm),
        router_bias=_address(held.router_bias),
        keys=cache[0].data_ptr(),
        values=cache[1].data_ptr(),
        qkv=matrix(held.qkv),
        out=matrix(held.out),
        router=matrix(held.router),
        w13=experts[0],
        w2=experts[1],
        shared_w13=matrix(shared_w13),
        shared_w2=matrix(shared_w2),
    )


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _level(kernels: str | None) -> int:
    """The level's number, -1 to do without the kernels."""
    known = decode.levels()
    if kernels == "torch" or (kernels is None and not known):
        if kernels is None:
            _say_missing()
        return -1
    if kernels is not None and kernels not in known:
        raise UserError(
            f"kernels = {kernels!r}: this machine has {', '.join([*known, 'torch'])}"
            + ("" if known else " (the C kernels are not built: install a C compiler and reinstall orfevre)")
        )
    return len(known) - 1 if kernels is None else known.index(kernels)


@cache
def _say_missing() -> None:
    console.warn(
        "the C kernels are not built, so torch decodes, with equal results and several times more slowly; "
        "install a C compiler, then reinstall orfevre (`pip install -e .`) to build them"
    )
