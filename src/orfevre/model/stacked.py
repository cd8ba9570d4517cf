"""K models of one shape as one: weights on a model axis, one product where K models would have made K.

The arithmetic of each model is that of `Transformer`, so that it learns what it would have learnt alone. What has no
weights (attention, rotary positions) sees K x B sequences; K x E experts are the experts of one layer; the norms and
the cross entropy go model by model over a slice.

Shapes: K models, B sequences of each, S positions, T = B x S tokens of each, H hidden, O outputs, D head width,
E experts, k experts per token, V vocabulary, L layers.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from orfevre.errors import UserError

from . import fused, losses
from .attend import attend
from .experts import run_experts
from .moe import Routing, choose
from .stacked_norm import rms_norm
from .transformer import Losses, Transformer, check_ids, predicted


class Stack:
    """The weights of K models of one shape, each parameter `[K, ...]` under its name in `Transformer`."""

    def __init__(self, models: Sequence[Transformer]) -> None:
        """Copies the models' weights. Raises UserError for a shape that is not stackable, ValueError for several."""
        self.config, self.vocab_size, self.num_models = models[0].config, models[0].vocab_size, len(models)
        if any((each.config, each.vocab_size) != (self.config, self.vocab_size) for each in models):
            raise ValueError("models of different shapes do not make a stack")
        if setting := self.config.unstackable:
            raise UserError(f"models with {setting} cannot be trained as a stack; train them one by one")
        named = [dict(each.named_parameters()) for each in models]
        self.weights = {
            name: torch.nn.Parameter(torch.stack([each[name].detach() for each in named])) for name in named[0]
        }
        kept = [dict(each.named_buffers()) for each in models]
        self.biases = {
            name: torch.stack([each[name] for each in kept]) for name in kept[0] if name in _persistent(models[0])
        }
        self.cos, self.sin = models[0].cos, models[0].sin

    def fill(self, models: Sequence[Transformer]) -> None:
        """Give the models their weights back."""
        with torch.no_grad():
            for index, model in enumerate(models):
                for name, parameter in model.named_parameters():
                    parameter.copy_(self.weights[name][index])
                for name, buffer in model.named_buffers():
                    if name in self.biases:
                        buffer.copy_(self.biases[name][index])

    def losses(
        self, ids_KBS: torch.Tensor, targets_KBS: torch.Tensor, segments_KBS: torch.Tensor | None = None
    ) -> Losses:
        """As `Transformer.losses`, but every figure is `[K]` and the counts `[K, L, E]`. Segments hold no padding.

        A model without a token to predict has a loss that is not a number.
        """
        check_ids(ids_KBS, self.vocab_size)
        counted_KBS = None
        if segments_KBS is not None:
            counted_KBS = predicted(targets_KBS.flatten(0, 1), segments_KBS.flatten(0, 1)).view(targets_KBS.shape)
        check_ids(targets_KBS if counted_KBS is None else targets_KBS[counted_KBS], self.vocab_size)
        x_KTH, routings = self._stream(ids_KBS, segments_KBS)
        entropy_K = self._entropy(self._norm(x_KTH, "norm.weight"), targets_KBS, counted_KBS)
        counts_KLE = torch.stack([_counts(each) for each in routings], dim=1)
        balance_K, z_K = _load_balancing(routings, counts_KLE), _router_z(routings)
        total_K = entropy_K + self.config.z_loss_weight * z_K
        if self.config.balancing == "loss":
            total_K = total_K + self.config.aux_loss_weight * balance_K
        none_K = torch.zeros_like(balance_K).detach()
        return Losses(total_K, entropy_K.detach(), balance_K.detach(), z_K.detach(), none_K, counts_KLE)

    @torch.no_grad()
    def balance(self, counts_KLE: torch.Tensor) -> None:
        """The sign rule of `MixtureOfExperts.balance` in every model."""
        for layer in range(self.config.num_layers):
            if (bias_KE := self.biases.get(f"blocks.{layer}.moe.balance_bias")) is not None:
                counts_KE = counts_KLE[:, layer].to(bias_KE.dtype)
                bias_KE += self.config.bias_update_rate * (counts_KE.mean(1, keepdim=True) - counts_KE).sign()

    def _stream(self, ids_KBS: torch.Tensor, segments_KBS: torch.Tensor | None) -> tuple[torch.Tensor, list[Routing]]:
        """The residual stream after the last block `[K, T, H]` and each layer's routing `[K, T, ...]`."""
        models, batch, length = ids_KBS.shape
        if length > self.config.context_length:
            raise UserError(
                f"a sequence of {length} tokens is longer than the model's context_length "
                f"{self.config.context_length}; give a shorter one"
            )
        table_KVH = self.weights["embedding.weight"]
        shift_K11 = torch.arange(models, device=ids_KBS.device)[:, None, None] * self.vocab_size
        x_KTH = F.embedding((ids_KBS + shift_K11).view(models, -1), table_KVH.flatten(0, 1))
        segments = None if segments_KBS is None else segments_KBS.flatten(0, 1)
        routings = []
        for layer in range(self.config.num_layers):
            name = f"blocks.{layer}"
            normed_KTH = self._norm(x_KTH, f"{name}.attention_norm.weight")
            x_KTH = x_KTH + self._attention(normed_KTH, f"{name}.attention", batch, segments)
            y_KTH, routing = self._moe(self._norm(x_KTH, f"{name}.moe_norm.weight"), f"{name}.moe")
            x_KTH = x_KTH + y_KTH
            routings.append(routing)
        return x_KTH, routings

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return rms_norm(x, self.weights[name], self.config.norm_eps)

    def _linear(self, x_KTH: torch.Tensor, name: str) -> torch.Tensor:
        """`[K, T, H]` -> `[K, T, O]` by weights `[K, O, H]`."""
        return torch.bmm(x_KTH, self.weights[name].transpose(1, 2))

    def _attention(self, x_KTH: torch.Tensor, name: str, batch: int, segments: torch.Tensor | None) -> torch.Tensor:
        config, models = self.config, len(x_KTH)
        length, width = x_KTH.shape[1] // batch, config.head_width
        parts = [config.num_heads, config.num_kv_heads, config.num_kv_heads]
        heads = self._linear(x_KTH, f"{name}.qkv.weight").view(models * batch, length, -1, width)
        if config.qk_norm:
            queries, keys, values = (each.contiguous() for each in torch.split(heads, parts, dim=2))
            queries, keys = (
                self._norm(each.view(models, -1, width), f"{name}.{norm}.weight").view(each.shape)
                for each, norm in ((queries, "q_norm"), (keys, "k_norm"))
            )
            heads = torch.cat((queries, keys, values), dim=2)
        cos_SD, sin_SD = self.cos[:length], self.sin[:length]
        heads = fused.rotate(heads, cos_SD, sin_SD, config.num_heads + config.num_kv_heads)
        q, k, v = (each.transpose(1, 2) for each in torch.split(heads, parts, dim=2))
        mixed = attend(q, k, v, 0, segments=segments, window=config.sliding_window or None)
        return self._linear(mixed.transpose(1, 2).reshape(models, batch * length, -1), f"{name}.out.weight")

    def _moe(self, x_KTH: torch.Tensor, name: str) -> tuple[torch.Tensor, Routing]:
        config, models = self.config, len(x_KTH)
        bias_KE = self.biases.get(f"{name}.balance_bias")
        logits_KTE = self._linear(x_KTH, f"{name}.gate.weight")
        bias_K1E = None if bias_KE is None else bias_KE[:, None]
        routing = choose(logits_KTE, config.experts_per_token, router=config.router, bias=bias_K1E)
        shift_K11 = torch.arange(models, device=x_KTH.device)[:, None, None] * config.num_experts
        y_TH = run_experts(
            x_KTH.flatten(0, 1),
            self.weights[f"{name}.w13"].flatten(0, 1),
            self.weights[f"{name}.w2"].flatten(0, 1),
            routing.weights.flatten(0, 1),
            (routing.chosen + shift_K11).flatten(0, 1),
        )
        y_KTH = y_TH.view(x_KTH.shape)
        if config.shared_experts:
            gate, up = self._linear(x_KTH, f"{name}.shared_w13").chunk(2, dim=-1)
            y_KTH = y_KTH + self._linear(F.silu(gate) * up, f"{name}.shared_w2")
        return y_KTH, routing

    def _entropy(
        self, x_KTH: torch.Tensor, targets_KBS: torch.Tensor, counted_KBS: torch.Tensor | None
    ) -> torch.Tensor:
        """Mean cross entropy, nats, of each model's counted targets, `[K]`."""
        output_KVH = self.weights["embedding.weight" if self.config.tie_embeddings else "output.weight"]
        x_RH, targets_R = x_KTH.flatten(0, 1), targets_KBS.flatten()
        sizes = [x_KTH.shape[1]] * len(x_KTH)
        if counted_KBS is not None:
            sizes = counted_KBS.flatten(1).sum(1).tolist()
            rows_R = counted_KBS.flatten().nonzero()[:, 0]
            x_RH, targets_R = x_RH.index_select(0, rows_R), targets_R[rows_R]
        pieces = zip(torch.split(x_RH, sizes), output_KVH.unbind(), torch.split(targets_R, sizes), strict=True)
        return torch.stack([
            losses.cross_entropy(x, output, targets) if len(x) else (x.sum() + torch.nan)
            for x, output, targets in pieces
        ])  # fmt: skip


def _persistent(model: Transformer) -> frozenset[str]:
    return frozenset(model.state_dict())


def _counts(routing: Routing) -> torch.Tensor:
    """Tokens sent to each expert of each model, int64 `[K, E]`."""
    chosen_KR = routing.chosen.flatten(1)
    counts_KE = chosen_KR.new_zeros(len(chosen_KR), routing.logits.shape[-1])
    return counts_KE.scatter_add_(1, chosen_KR, torch.ones_like(chosen_KR))


def _load_balancing(routings: Sequence[Routing], counts_KLE: torch.Tensor) -> torch.Tensor:
    """`losses.load_balancing` of each model, `[K]`."""
    means_KLE = torch.stack([each.probabilities.mean(1) for each in routings], dim=1)
    shares_KLE = counts_KLE / routings[0].chosen.shape[1]
    return means_KLE.shape[2] * (shares_KLE * means_KLE).sum(2).mean(1)


def _router_z(routings: Sequence[Routing]) -> torch.Tensor:
    """`losses.router_z` of each model, `[K]`."""
    return torch.stack([each.logits.logsumexp(-1).square().mean(1) for each in routings]).mean(0)
