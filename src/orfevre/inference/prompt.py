"""Several tokens of one sequence through a model of held weights, in torch; keys and values go to the decoder's cache.

The residual stream, norms and the router are float32, as in the C kernels; products are what `products` makes of them.

Shapes: S new tokens, H hidden, N query heads, K key-value heads, D head width, E experts, k experts a token, R = S x k
rows, V vocabulary.
"""

import torch
from torch.nn import functional as F

from orfevre.model.attend import attend
from orfevre.model.attention import rotary_tables

from .held import Held, HeldLayer, Kept
from .products import product


class Prompt:
    def __init__(self, held: Held, cache: torch.Tensor, pool: int | None, level: int) -> None:
        """`cache`: `[L, 2, slots, K, C, D]`, float32 or bfloat16."""
        self.held, self.cache, self.pool, self.level = held, cache, pool, level
        self.cos, self.sin = rotary_tables(held.config)

    @torch.inference_mode()
    def extend(
        self, slot: int, ids_S: torch.Tensor, past: int, experts_LSk: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The residual stream after the last of ids_S, float32 `[H]`; they take the positions from `past` on.

        `experts_LSk` replaces the router's choice.
        """
        x_SH = self.held.embedding[ids_S].float()
        for index, layer in enumerate(self.held.layers):
            self._attention(index, layer, x_SH, slot, past)
            x_SH += self._experts(layer, x_SH, None if experts_LSk is None else experts_LSk[index])
        return x_SH[-1]

    @torch.inference_mode()
    def logits(self, x_H: torch.Tensor) -> torch.Tensor:
        """Float32 `[V]`."""
        return self._product(self._norm(x_H[None], self.held.norm), self.held.output)[0]

    def _attention(self, index: int, layer: HeldLayer, x_SH: torch.Tensor, slot: int, past: int) -> None:
        """Adds to x what attention makes of it."""
        config, length = self.held.config, len(x_SH)
        end, num_keys = past + length, config.num_kv_heads
        heads = self._product(self._norm(x_SH, layer.attention_norm), layer.qkv).view(1, length, -1, config.head_width)
        q, k, v = torch.split(heads, [config.num_heads, num_keys, num_keys], dim=2)
        if layer.query_norm is not None and layer.key_norm is not None:
            q, k = self._norm(q, layer.query_norm), self._norm(k, layer.key_norm)
        cos, sin = self.cos[past:end], self.sin[past:end]
        keys, values = self.cache[index, :, slot : slot + 1, :, :end]
        keys[:, :, past:] = _rotate(k, cos, sin).transpose(1, 2)
        values[:, :, past:] = v.transpose(1, 2)
        turned = _rotate(q, cos, sin).transpose(1, 2).to(keys.dtype)
        mixed = attend(turned, keys, values, past, window=config.sliding_window or None)
        x_SH += self._product(mixed.transpose(1, 2).reshape(length, -1).float(), layer.out)

    def _experts(self, layer: HeldLayer, x_SH: torch.Tensor, chosen_Sk: torch.Tensor | None) -> torch.Tensor:
        n_SH = self._norm(x_SH, layer.moe_norm)
        weights_Sk, chosen_Sk = self._route(layer, n_SH, chosen_Sk)
        order_R = chosen_Sk.flatten().argsort(stable=True)
        token_R = order_R // chosen_Sk.shape[1]
        rows_RH, y_RH = n_SH[token_R], torch.empty(len(order_R), n_SH.shape[1])
        start = 0
        counts = torch.bincount(chosen_Sk.flatten(), minlength=len(layer.experts)).tolist()
        for (w13, w2), count in zip(layer.experts, counts, strict=True):
            if count:
                y_RH[start : start + count] = self._expert(rows_RH[start : start + count], w13, w2)
            start += count
        y_RH *= weights_Sk.flatten()[order_R, None]
        unsorted = torch.empty_like(y_RH).index_copy_(0, order_R, y_RH)
        made_SH = unsorted.view(*chosen_Sk.shape, -1).sum(dim=1)
        return made_SH if layer.shared is None else made_SH + self._expert(n_SH, *layer.shared)

    def _expert(self, x_TH: torch.Tensor, w13: Kept, w2: Kept) -> torch.Tensor:
        gate, up = self._product(x_TH, w13).chunk(2, dim=1)
        return self._product(F.silu(gate) * up, w2)

    def _route(
        self, layer: HeldLayer, n_SH: torch.Tensor, chosen_Sk: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights float32 and experts int64 `[S, k]`: `model.moe.MixtureOfExperts.route` in float32."""
        scores_SE = n_SH @ layer.router.t()
        if self.held.config.router == "sigmoid":
            scores_SE = F.logsigmoid(scores_SE)
        if chosen_Sk is None:
            ranked = scores_SE.exp() if self.held.config.router == "sigmoid" else scores_SE.softmax(dim=1)
            if layer.router_bias is not None:
                ranked = ranked + layer.router_bias
            chosen_Sk = ranked.topk(self.held.config.experts_per_token, dim=1).indices
        return scores_SE.gather(1, chosen_Sk).softmax(dim=1), chosen_Sk

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, weight.shape, weight, self.held.config.norm_eps)

    def _product(self, x_TI: torch.Tensor, weights: Kept) -> torch.Tensor:
        return product(x_TI, weights, self.pool, self.level)


def _rotate(x_1SND: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor) -> torch.Tensor:
    """Turn each pair (x[i], x[i + D/2]) by its position's angle."""
    first, second = x_1SND.chunk(2, dim=-1)
    return x_1SND * cos_SD[:, None] + torch.cat((-second, first), dim=-1) * sin_SD[:, None]
