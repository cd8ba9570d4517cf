"""A model's weights as decoding holds them: in float32, bfloat16, int8 or int4, one tensor at a time from its source.

What stays out of int8 and int4: the norms and the router in float32 (they are tiny, and a router that is slightly off
sends tokens elsewhere), the embedding in bfloat16 (a token reads one row of it, so narrower would gain nothing). A tied
output projection is a narrow copy of its own, since every token reads all of it.

Shapes: H hidden, F inner width of an expert, E experts, D head width, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from orfevre import recipe
from orfevre.errors import InputError
from orfevre.model.transformer import Transformer

from .memory import Arena
from .quantise import BITS, Quantised, quantise

Precision = Literal["float32", "bfloat16", "int8", "int4"]
Kept = torch.Tensor | Quantised
FLOATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Source(Protocol):
    """Where weights come from: `weights.opened.Opened`, or `InMemory`."""

    config: recipe.Model
    vocab_size: int

    def tensor(self, name: str) -> torch.Tensor: ...

    def expert(self, layer: int, e: int) -> tuple[torch.Tensor, torch.Tensor]: ...


class InMemory:
    """The weights of a Transformer."""

    def __init__(self, model: Transformer) -> None:
        self.config, self.vocab_size = model.config, model.vocab_size
        self._state = model.state_dict()

    def tensor(self, name: str) -> torch.Tensor:
        return torch.as_tensor(self._state[name])

    def expert(self, layer: int, e: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._state[f"blocks.{layer}.moe.w13"][e], self._state[f"blocks.{layer}.moe.w2"][e]


@dataclass(frozen=True)
class HeldLayer:
    attention_norm: torch.Tensor
    """`[H]`, as all norms float32."""
    moe_norm: torch.Tensor
    query_norm: torch.Tensor | None
    """`[D]`, and `key_norm`: of models with qk_norm."""
    key_norm: torch.Tensor | None
    qkv: Kept
    """`[(N + 2K) D, H]`"""
    out: Kept
    """`[H, N D]`"""
    router: torch.Tensor
    """float32 `[E, H]`"""
    router_bias: torch.Tensor | None
    """float32 `[E]`, of models balanced by bias."""
    experts: list[tuple[Kept, Kept]]
    """w13 `[2F, H]` and w2 `[H, F]` of each."""
    shared: tuple[Kept, Kept] | None
    """The same of the shared experts, as one."""

    def matrices(self) -> Iterator[Kept]:
        yield from (self.qkv, self.out, self.router)
        for w13, w2 in [*self.experts, *([self.shared] if self.shared else [])]:
            yield from (w13, w2)


@dataclass(frozen=True)
class Held:
    config: recipe.Model
    vocab_size: int
    precision: Precision
    embedding: torch.Tensor
    """`[V, H]`, float32 or bfloat16."""
    norm: torch.Tensor
    output: Kept
    """`[V, H]`"""
    layers: list[HeldLayer]

    @property
    def num_bytes(self) -> int:
        """Of all matrices; one that is held twice (a tied embedding in floats) counts once."""
        every = {id(each): each for layer in self.layers for each in layer.matrices()}
        every |= {id(each): each for each in (self.embedding, self.output)}
        return sum(num_bytes(each) for each in every.values())

    def bytes_per_step(self, num_experts: float) -> float:
        """Weights read for one step in which a layer uses so many different experts (shared ones aside)."""
        total = float(num_bytes(self.output))
        for layer in self.layers:
            each = [num_bytes(w13) + num_bytes(w2) for w13, w2 in layer.experts]
            total += sum(map(num_bytes, layer.matrices())) - sum(each) + num_experts * sum(each) / len(each)
        return total


def num_bytes(matrix: Kept) -> int:
    return matrix.num_bytes if isinstance(matrix, Quantised) else matrix.nbytes


def hold(source: Source | Transformer, precision: Precision, group: int = 0) -> Held:
    """Copy weights into huge pages at a precision; `group` is that of int8 and int4, 0 for `quantise.group_of`'s.

    Raises UserError where a matrix does not divide into groups, InputError for a weight that is not finite.
    """
    return _Keeper(InMemory(source) if isinstance(source, Transformer) else source, precision, group).all()


class _Keeper:
    def __init__(self, source: Source, precision: Precision, group: int) -> None:
        self.source, self.precision, self.arena = source, precision, Arena()
        self.group = group

    def all(self) -> Held:
        source, config = self.source, self.source.config
        wide = torch.float32 if self.precision == "float32" else torch.bfloat16
        embedding = self._float("embedding.weight", wide)
        tied = config.tie_embeddings and self.precision in FLOATS
        output = embedding if tied else self._matrix("output.weight")
        layers = [self._layer(index) for index in range(config.num_layers)]
        norm = self._float("norm.weight", torch.float32)
        return Held(config, source.vocab_size, self.precision, embedding, norm, output, layers)

    def _layer(self, index: int) -> HeldLayer:
        config, here = self.source.config, f"blocks.{index}."
        experts = []
        for e in range(config.num_experts):
            names = [f"{here}moe.{part} of expert {e}" for part in ("w13", "w2")]
            w13, w2 = (self._keep(w, name) for w, name in zip(self.source.expert(index, e), names, strict=True))
            experts.append((w13, w2))

        def small(name: str, present: bool = True) -> torch.Tensor | None:
            return self._float(here + name, torch.float32) if present else None

        shared = None
        if config.shared_experts:
            shared = (self._matrix(f"{here}moe.shared_w13"), self._matrix(f"{here}moe.shared_w2"))
        return HeldLayer(
            self._float(f"{here}attention_norm.weight", torch.float32),
            self._float(f"{here}moe_norm.weight", torch.float32),
            small("attention.q_norm.weight", config.qk_norm),
            small("attention.k_norm.weight", config.qk_norm),
            self._matrix(f"{here}attention.qkv.weight"),
            self._matrix(f"{here}attention.out.weight"),
            self._float(f"{here}moe.gate.weight", torch.float32),
            small("moe.balance_bias", config.balancing == "bias"),
            experts,
            shared,
        )

    def _float(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        return self.arena.keep(_finite(self.source.tensor(name), name), dtype)

    def _matrix(self, name: str) -> Kept:
        return self._keep(self.source.tensor(name), name)

    def _keep(self, matrix: torch.Tensor, name: str) -> Kept:
        _finite(matrix, name)
        if self.precision in BITS:
            return quantise(matrix.detach(), BITS[self.precision], self.group, self.arena, name)
        return self.arena.keep(matrix.detach(), FLOATS[self.precision])


def _finite(tensor: torch.Tensor, name: str) -> torch.Tensor:
    # a sum is finite unless a term is not (or all of float32's range is used up, which weights never do)
    if not torch.isfinite(tensor.sum(dtype=torch.float32)):
        raise InputError(f"{name} holds a weight that is not finite (NaN or infinity); take another checkpoint")
    return tensor.detach()
