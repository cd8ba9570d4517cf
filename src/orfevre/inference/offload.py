"""A decoder whose experts stay in the model's files, so that a model larger than memory runs.

All but the experts is in memory, and as many experts as a cache of the asked size holds. A layer's tokens, of a prompt
or of all sequences of a step, are gathered by expert, so that each expert is fetched once a layer. What comes out does
not depend on the cache: the same bits at every size.

Shapes: T tokens, H hidden, F inner width of an expert, k experts a token, R = T x k rows sorted by expert.
"""

import math
import time
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from orfevre import console, recipe
from orfevre.errors import UserError
from orfevre.kernels import decode
from orfevre.kernels.pool import pool
from orfevre.model.attention import rotary_tables
from orfevre.model.block import Block
from orfevre.model.moe import MixtureOfExperts, Routing
from orfevre.model.transformer import Transformer
from orfevre.weights.checks import check_finite
from orfevre.weights.layout import num_rows
from orfevre.weights.opened import Opened

from .decoder import TorchDecoder
from .expert_cache import ExpertCache, Pair, Statistics
from .expert_files import ExpertFiles
from .held import Kept, Precision
from .products import kernel_product, product
from .quantise import Quantised

GIB = 1 << 30
FEW_ROWS = 8
"""Up to so many the C kernels are faster than torch, which reads a matrix at half of memory's speed for one row."""
OFFLOADED_PREFILL_TOKENS = 2048
"""Of a prompt at once: a chunk needs nearly every expert of the model, and a longer one shares them among more."""


class OffloadedDecoder(TorchDecoder):
    """A Decoder; see TorchDecoder. Of the experts it holds `cache_bytes` at most, and reads the rest from the files.

    `precision`: in which experts are held, as stored by default; what is not an expert is float32 in a model of float32
    and bfloat16 in others. Keys and values likewise. `context_length` 0 is the model's.
    """

    prefill_tokens = OFFLOADED_PREFILL_TOKENS

    def __init__(
        self,
        opened: Opened,
        cache_bytes: int,
        num_slots: int = 1,
        *,
        precision: Precision | None = None,
        context_length: int = 0,
    ) -> None:
        """Raises UserError for a cache that cannot hold one token's experts, for a context longer than the model's,
        and for files that are not as they were opened."""
        config = opened.config
        if context_length > config.context_length:
            raise UserError(
                f"a context of {context_length} is longer than the model's context_length "
                f"{config.context_length}; ask for less"
            )
        files = ExpertFiles(opened, precision)
        capacity = min(places(config, files.expert_bytes, cache_bytes), config.num_layers * config.num_experts)
        self.cache = ExpertCache(files, config.num_layers, capacity)
        shown = {"mtp_depth": 0, "context_length": context_length or config.context_length}
        dtype = torch.float32 if files.precision == "float32" else torch.bfloat16
        super().__init__(_model(opened, config.model_copy(update=shown), dtype, self.cache), num_slots)
        self.tokens, self.seconds = 0, 0.0
        """Of steps: tokens made, and the time they took."""

    def step(self, slots: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
        started = time.perf_counter()
        logits_BV = super().step(slots, ids)
        self.seconds += time.perf_counter() - started
        self.tokens += len(slots)
        return logits_BV

    @property
    def statistics(self) -> Statistics:
        return self.cache.statistics

    def summary(self) -> str:
        """One line for people."""
        counted = self.statistics
        rate = f", {self.tokens / self.seconds:.1f} tokens/s" if self.tokens else ""
        return (
            f"expert cache: {100 * counted.hit_rate:.0f} % of {counted.asked:,} hits, "
            f"{console.quantity(counted.bytes_read, 'B')} read in {console.duration(counted.reading_seconds)}{rate}"
        )


def places(config: recipe.Model, expert_bytes: int, cache_bytes: int) -> int:
    """Experts that a cache of so many bytes holds. Raises UserError where those are not even one token's in a layer."""
    least = config.experts_per_token * expert_bytes
    if cache_bytes < least:
        raise UserError(
            f"--offload {cache_bytes / GIB:.6g} GiB: a token needs {config.experts_per_token} experts at once, each of "
            f"{expert_bytes:,} bytes; give {math.ceil(1e6 * least / GIB) / 1e6:.6f} or more"
        )
    return cache_bytes // expert_bytes


class _CachedExperts(MixtureOfExperts):
    """A layer that has no experts of its own."""

    def __init__(self, config: recipe.Model, layer: int, cache: ExpertCache) -> None:
        super().__init__(config)
        del self.w13, self.w2
        self._layer, self._cache = layer, cache

    def forward(self, x_TH: torch.Tensor, real_T: torch.Tensor | None = None) -> tuple[torch.Tensor, Routing]:
        routing = self.route(x_TH, real_T)
        y_TH = self._chosen(x_TH.float(), routing).to(x_TH.dtype)
        return (y_TH + self.shared(x_TH) if self.num_shared else y_TH), routing

    def _chosen(self, x_TH: torch.Tensor, routing: Routing) -> torch.Tensor:
        """Float32. Rows are summed in the order of a token's choices, in whatever order experts were computed."""
        chosen_R = routing.chosen.flatten()
        order_R = chosen_R.argsort(stable=True)
        token_R = order_R // self.num_chosen
        counts = torch.bincount(chosen_R).tolist()
        starts = [0, *torch.tensor(counts).cumsum(0).tolist()]
        y_RH = torch.empty(len(order_R), x_TH.shape[1])

        def use(e: int, pair: Pair) -> None:
            rows = slice(starts[e], starts[e + 1])
            y_RH[order_R[rows]] = self._expert(x_TH[token_R[rows]], *pair)

        self._cache.each(self._layer, [e for e, count in enumerate(counts) if count], use)
        return (y_RH.view(*routing.chosen.shape, -1) * routing.weights[..., None]).sum(dim=1)

    def _expert(self, x_TH: torch.Tensor, w13: Kept, w2: Kept) -> torch.Tensor:
        gate, up = _product(x_TH, w13).chunk(2, dim=1)
        return _product(F.silu(gate) * up, w2)


class _Linear(nn.Linear):
    """By the C kernels where there are few rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.numel() > FEW_ROWS * x.shape[-1]:
            return super().forward(x)
        return _product(x.view(-1, x.shape[-1]).float(), self.weight).to(x.dtype).view(*x.shape[:-1], -1)


def _product(x_TI: torch.Tensor, weights: Kept) -> torch.Tensor:
    """Float32 in and out."""
    level = len(decode.levels()) - 1
    threads = pool(torch.get_num_threads()) if level >= 0 else None
    if threads is not None and (isinstance(weights, Quantised) or len(x_TI) <= FEW_ROWS):
        return kernel_product(x_TI, weights, threads, level)
    return product(x_TI, weights, threads, level)


def _model(opened: Opened, config: recipe.Model, dtype: torch.dtype, cache: ExpertCache) -> Transformer:
    """The model with all in memory but its experts. Raises InputError for a weight that is not finite."""
    with torch.device("meta"):
        model = Transformer(config, opened.vocab_size)
        for layer, block in enumerate(cast(Iterable[Block], model.blocks)):
            block.moe = _CachedExperts(config, layer, cache)
            block.attention.qkv, block.attention.out = map(_like, (block.attention.qkv, block.attention.out))
        model.output = _like(model.output)
    state = {}
    for name in model.state_dict().keys() & opened.shapes.keys():
        shape = opened.shapes[name]
        state[name] = opened.rows(name, 0, num_rows(shape)).view(shape).to(dtype).contiguous()
        check_finite(state[name], opened.path, name)
    model.load_state_dict(state, strict=False, assign=True)
    if config.tie_embeddings:
        model.output.weight = model.embedding.weight
    model.cos, model.sin = rotary_tables(config)
    return model


def _like(linear: nn.Linear) -> _Linear:
    return _Linear(linear.in_features, linear.out_features, bias=False)
