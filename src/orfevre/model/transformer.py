"""The Mixtral architecture (arXiv 2401.04088): a decoder whose feed-forward layers are sparse mixtures of experts.

Shapes: B sequences, S positions, T = B x S tokens, H hidden, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from orfevre import recipe

from . import losses
from .attention import Attention, KeyValueCache, rotary_tables
from .experts import matmul_dtype
from .moe import MixtureOfExperts, Routing
from .norm import RMSNorm


@dataclass(frozen=True)
class Losses:
    """Scalars of one batch. `total` is what is minimised; the parts are detached, before their weights."""

    total: torch.Tensor
    cross_entropy: torch.Tensor
    load_balancing: torch.Tensor
    router_z: torch.Tensor


class Block(nn.Module):
    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.attention = Attention(config)
        self.moe_norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.moe = MixtureOfExperts(config)

    def forward(
        self, x_BSH: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor, cache: KeyValueCache | None = None
    ) -> tuple[torch.Tensor, Routing]:
        x_BSH = x_BSH + self.attention(self.attention_norm(x_BSH), cos_SD, sin_SD, cache)
        y_TH, routing = self.moe(self.moe_norm(x_BSH).flatten(0, 1))
        return x_BSH + y_TH.view(x_BSH.shape), routing


class Transformer(nn.Module):
    """Token ids to logits. `config.vocab_size` is ignored: the vocabulary is what `vocab_size` says."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, config: recipe.Model, vocab_size: int) -> None:
        super().__init__()
        self.config, self.vocab_size = config, vocab_size
        self.embedding = nn.Embedding(vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.output = nn.Linear(config.hidden_size, vocab_size, bias=False)
        if config.tie_embeddings:
            self.output.weight = self.embedding.weight
        cos, sin = rotary_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def hidden(
        self, ids_BS: torch.Tensor, caches: Sequence[KeyValueCache] | None = None
    ) -> tuple[torch.Tensor, list[Routing]]:
        """The last layer's normalised output `[B, S, H]` and each layer's routing. `caches`: one a layer."""
        past = caches[0].length if caches else 0
        end = past + ids_BS.shape[1]
        if end > self.config.context_length:
            raise ValueError(f"{end} positions exceed context_length {self.config.context_length}")
        cos_SD, sin_SD = self.cos[past:end], self.sin[past:end]
        x_BSH, routings = self.embedding(ids_BS), []
        for index, block in enumerate(self.blocks):
            x_BSH, routing = block(x_BSH, cos_SD, sin_SD, caches[index] if caches else None)
            routings.append(routing)
        return self.norm(x_BSH), routings

    def forward(self, ids_BS: torch.Tensor, caches: Sequence[KeyValueCache] | None = None) -> torch.Tensor:
        """Logits `[B, S, V]` of the token that follows each position."""
        return self.output(self.hidden(ids_BS, caches)[0])  # type: ignore[no-any-return]

    def losses(self, ids_BS: torch.Tensor, targets_BS: torch.Tensor) -> Losses:
        """Losses of predicting `targets_BS` (the ids one further on) from `ids_BS`, both int64."""
        x_BSH, routings = self.hidden(ids_BS)
        dtype = matmul_dtype(x_BSH)
        entropy = losses.cross_entropy(
            x_BSH.flatten(0, 1).to(dtype), self.output.weight.to(dtype), targets_BS.flatten()
        )
        balance, z = losses.load_balancing(routings), losses.router_z(routings)
        total = entropy + self.config.aux_loss_weight * balance + self.config.z_loss_weight * z
        return Losses(total, entropy.detach(), balance.detach(), z.detach())

    def token_losses(self, ids_BS: torch.Tensor, targets_BS: torch.Tensor) -> tuple[torch.Tensor, list[Routing]]:
        """Cross entropy of each target, nats, float32 `[B, S]`, and the routing of the tokens. No gradient."""
        with torch.no_grad():
            x_BSH, routings = self.hidden(ids_BS)
            nats_T = losses.token_losses(x_BSH.flatten(0, 1), self.output.weight, targets_BS.flatten())
            return nats_T.view(targets_BS.shape), routings


OUTPUT_SCALE = 0.2
"""The first logits are this small beside unit-variance ones, so that training starts from a near-uniform guess."""


def initialise(model: Transformer, generator: torch.Generator) -> None:
    """Normal matrices whose outputs have the variance of their inputs: deviation 1/sqrt(fan-in) at every width, so
    that a proxy of 64 channels starts as a model of 4096 does (Mixtral's fixed 0.02 is right at one width only).

    The embedding is drawn with deviation 1, matrices that write to the residual stream are scaled by 1/sqrt(2 x
    layers) (GPT-2), the output projection by OUTPUT_SCALE. Tied embeddings take the output's scale.
    """
    config = model.config
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            continue
        deviation = parameter.shape[-1] ** -0.5
        if name.endswith(("attention.out.weight", "moe.w2")):
            deviation /= (2 * config.num_layers) ** 0.5
        elif name == "embedding.weight" and not config.tie_embeddings:
            deviation = 1.0
        elif name in ("embedding.weight", "output.weight"):
            deviation *= OUTPUT_SCALE
        nn.init.normal_(parameter, std=deviation, generator=generator)
