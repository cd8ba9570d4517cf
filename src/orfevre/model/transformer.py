"""The Mixtral architecture (arXiv 2401.04088): a decoder whose feed-forward layers are sparse mixtures of experts.

Shapes: B sequences, S positions, C = past + S positions seen, T = B x S tokens, H hidden, V vocabulary, E experts.

`segments` tell documents that share a sequence apart: int64, the document of each position, -1 for padding. Attention
stays within a document; padding is in no loss and no count of the router.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from orfevre import recipe
from orfevre.errors import UserError

from . import losses
from .attention import KeyValueCache, rotary_tables
from .block import Block, MultiTokenPrediction
from .experts import matmul_dtype
from .moe import MixtureOfExperts, Routing
from .norm import RMSNorm

IGNORED = -100
"""A target that is not to be predicted (any below 0 is not); heeded where segments are given."""


@dataclass(frozen=True)
class Losses:
    """Scalars of one batch. `total` is what is minimised; the parts are detached, before their weights."""

    total: torch.Tensor
    cross_entropy: torch.Tensor
    load_balancing: torch.Tensor
    router_z: torch.Tensor
    mtp: torch.Tensor
    """Mean cross entropy of the blocks that predict further ahead; 0 without them."""
    expert_counts: torch.Tensor
    """Real tokens sent to each expert, int64 `[num_layers + mtp_depth, E]`: what `Transformer.balance` takes."""


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
        self.mtp = nn.ModuleList(MultiTokenPrediction(config) for _ in range(config.mtp_depth))
        cos, sin = rotary_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def stream(
        self,
        ids_BS: torch.Tensor,
        caches: Sequence[KeyValueCache] | None = None,
        segments_BC: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, list[Routing]]:
        """The residual stream after the last block `[B, S, H]` and each layer's routing. `caches`: one a layer.

        Raises UserError for a sequence longer than the context.
        """
        past = caches[0].length if caches else 0
        end = past + ids_BS.shape[1]
        if end > self.config.context_length:
            raise UserError(
                f"a sequence of {end} tokens is longer than the model's context_length {self.config.context_length}; "
                "give a shorter one"
            )
        cos_SD, sin_SD = self.cos[past:end], self.sin[past:end]
        x_BSH, routings = self._embed(ids_BS), []
        for index, block in enumerate(self.blocks):
            x_BSH, routing = block(x_BSH, cos_SD, sin_SD, caches[index] if caches else None, segments_BC)
            routings.append(routing)
        return x_BSH, routings

    def hidden(
        self,
        ids_BS: torch.Tensor,
        caches: Sequence[KeyValueCache] | None = None,
        segments_BC: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, list[Routing]]:
        """The last layer's normalised output `[B, S, H]` and each layer's routing; the ids are not checked."""
        x_BSH, routings = self.stream(ids_BS, caches, segments_BC)
        return self.norm(x_BSH), routings

    def forward(
        self,
        ids_BS: torch.Tensor,
        caches: Sequence[KeyValueCache] | None = None,
        segments_BC: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits `[B, S, V]` of the token that follows each position. Raises UserError for an id out of range."""
        check_ids(ids_BS, self.vocab_size)
        return self.output(self.hidden(ids_BS, caches, segments_BC)[0])  # type: ignore[no-any-return]

    def losses(self, ids_BS: torch.Tensor, targets_BS: torch.Tensor, segments_BS: torch.Tensor | None = None) -> Losses:
        """Losses of predicting `targets_BS` (the ids one further on) from `ids_BS`, both int64.

        With segments, padding, targets below 0 and the first token of the next document are not predicted. Raises
        UserError for an id out of range and for a batch without a token to predict.
        """
        check_ids(ids_BS, self.vocab_size)
        counted_BS = None if segments_BS is None else predicted(targets_BS, segments_BS)
        check_ids(targets_BS if counted_BS is None else targets_BS[counted_BS], self.vocab_size)
        if counted_BS is not None and not counted_BS.any():
            raise UserError("a batch without a token to predict: every position is padding or ends its document")
        x_BSH, routings = self.stream(ids_BS, None, segments_BS)
        entropy = self._entropy(self.norm(x_BSH), targets_BS, counted_BS)
        further, more = self._look_ahead(x_BSH, ids_BS, targets_BS, segments_BS, counted_BS)
        routings += more
        config, balance, z = self.config, losses.load_balancing(routings), losses.router_z(routings)
        total = entropy + config.z_loss_weight * z
        if config.balancing == "loss":
            total = total + config.aux_loss_weight * balance
        if config.mtp_depth:
            total = total + config.mtp_loss_weight * further
        counts_LE = torch.stack([routing.counts() for routing in routings])
        return Losses(total, entropy.detach(), balance.detach(), z.detach(), further.detach(), counts_LE)

    def token_losses(
        self, ids_BS: torch.Tensor, targets_BS: torch.Tensor, segments_BS: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[Routing]]:
        """Cross entropy of each target, nats, float32 `[B, S]`, and the routing of the tokens. No gradient.

        With segments, 0 where `losses` would not predict. Raises UserError for an id out of range.
        """
        check_ids(ids_BS, self.vocab_size)
        counted_BS = None if segments_BS is None else predicted(targets_BS, segments_BS)
        if counted_BS is not None:
            targets_BS = targets_BS.where(counted_BS, 0)
        check_ids(targets_BS, self.vocab_size)
        with torch.no_grad():
            x_BSH, routings = self.hidden(ids_BS, None, segments_BS)
            nats_T = losses.token_losses(x_BSH.flatten(0, 1), self.output.weight, targets_BS.flatten())
            nats_BS = nats_T.view(targets_BS.shape)
            return nats_BS if counted_BS is None else nats_BS.where(counted_BS, 0.0), routings

    def _embed(self, ids_BS: torch.Tensor) -> torch.Tensor:
        """In the dtype of the products: training in bfloat16 keeps the embedding itself in float32."""
        return self.embedding(ids_BS).to(self.output.weight.dtype)  # type: ignore[no-any-return]

    def balance(self, expert_counts_LE: torch.Tensor) -> None:
        """After an optimiser step: move the balancing biases by the sign rule (arXiv 2408.15664), given how many
        tokens each expert of each layer got in the batch. Does nothing where balancing = "loss"."""
        layers = [module for module in self.modules() if isinstance(module, MixtureOfExperts)]
        for layer, counts_E in zip(layers, expert_counts_LE, strict=True):
            layer.balance(counts_E)

    def _look_ahead(
        self,
        x_BSH: torch.Tensor,
        ids_BS: torch.Tensor,
        targets_BS: torch.Tensor,
        segments_BS: torch.Tensor | None,
        counted_BS: torch.Tensor | None,
    ) -> tuple[torch.Tensor, list[Routing]]:
        """Mean cross entropy of the depths (arXiv 2412.19437, eq. 24-25, each a mean over its targets), and routings.

        At depth d position i has the stream of depth d - 1, is given token i + d, and predicts token i + d + 1.
        """
        length, entropies, routings = ids_BS.shape[1], [], []
        if length <= self.config.mtp_depth:
            raise UserError(f"a sequence of {length} tokens is too short for mtp_depth {self.config.mtp_depth}")
        for depth, head in enumerate(self.mtp, start=1):
            left, segments, counted = length - depth, None, None
            if segments_BS is not None and counted_BS is not None:
                # what is given must be of the position's own document; other positions stand aside as padding
                own = segments_BS[:, :left] == segments_BS[:, depth:]
                segments, counted = segments_BS[:, :left].where(own, -1), counted_BS[:, depth:] & own
            given = self._embed(ids_BS[:, depth:])
            x_BSH, normed_BSH, routing = head(x_BSH[:, :left], given, self.cos[:left], self.sin[:left], segments)
            entropies.append(self._entropy(normed_BSH, targets_BS[:, depth:], counted))
            routings.append(routing)
        return torch.stack(entropies).mean() if entropies else x_BSH.new_zeros(()), routings

    def _entropy(self, x_BSH: torch.Tensor, targets_BS: torch.Tensor, counted_BS: torch.Tensor | None) -> torch.Tensor:
        """Mean cross entropy, nats, of the counted targets; 0 when there are none."""
        dtype = matmul_dtype(x_BSH)
        x_TH, targets_T = x_BSH.flatten(0, 1), targets_BS.flatten()
        if counted_BS is not None:
            x_TH, targets_T = x_TH[counted_BS.flatten()], targets_T[counted_BS.flatten()]
            if not len(targets_T):
                return x_TH.sum()
        return losses.cross_entropy(x_TH.to(dtype), self.output.weight.to(dtype), targets_T)


def check_ids(ids: torch.Tensor, vocab_size: int) -> None:
    """Raises UserError for a token id outside the vocabulary. Ids on an accelerator are taken on trust: to read them
    would wait for it."""
    if ids.device.type != "cpu" or torch.compiler.is_compiling() or not ids.numel():
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab_size:
        raise UserError(
            f"token id {low if low < 0 else high} is outside the vocabulary of {vocab_size} (0 to {vocab_size - 1}); "
            "use the tokenizer that the model was made with"
        )


def predicted(targets_BS: torch.Tensor, segments_BS: torch.Tensor) -> torch.Tensor:
    """Which targets count, bool `[B, S]`: of a real position, not below 0, and not the start of another segment."""
    counted_BS = (segments_BS >= 0) & (targets_BS >= 0)
    counted_BS[:, :-1] &= segments_BS[:, 1:] == segments_BS[:, :-1]
    return counted_BS


OUTPUT_SCALE = 0.2
"""The first logits are this small beside unit-variance ones, so that training starts from a near-uniform guess."""


def initialise(model: Transformer, generator: torch.Generator) -> None:
    """Normal matrices whose outputs have the variance of their inputs: deviation 1/sqrt(fan-in) at every width, so
    that a proxy of 64 channels starts as a model of 4096 does (Mixtral's fixed 0.02 is right at one width only).

    The embedding is drawn with deviation 1, matrices that write to the residual stream (shared experts' too) are
    scaled by 1/sqrt(2 x layers) (GPT-2), the output projection by OUTPUT_SCALE. Tied embeddings take the output's
    scale. Norms start at 1, balancing biases at 0. Blocks that look ahead start as the others do.
    """
    config = model.config
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            continue
        deviation = parameter.shape[-1] ** -0.5
        if name.endswith(("attention.out.weight", "moe.w2", "moe.shared_w2")):
            deviation /= (2 * config.num_layers) ** 0.5
        elif name == "embedding.weight" and not config.tie_embeddings:
            deviation = 1.0
        elif name in ("embedding.weight", "output.weight"):
            deviation *= OUTPUT_SCALE
        nn.init.normal_(parameter, std=deviation, generator=generator)
