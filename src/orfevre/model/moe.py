"""The sparse mixture-of-experts layer (arXiv 2401.04088, section 2.1): a router and E SwiGLU experts, k for a token.

With the options of newer models: sigmoid scores and a balancing bias (DeepSeek-V3, arXiv 2412.19437, eq. 12-16),
shared experts that every token passes through (DeepSeekMoE, arXiv 2401.06066, eq. 9).

Shapes: T tokens, H hidden, F inner width of an expert, E experts, k experts per token, n shared experts.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from orfevre import recipe

from .experts import run_experts


@dataclass(frozen=True)
class Routing:
    """Where one layer sent its tokens; what the router's losses and the expert counts are made from."""

    logits: torch.Tensor
    """`[T, E]`, in the dtype of the products."""
    probabilities: torch.Tensor
    """Scores of all experts, scaled to sum to 1 (a softmax does already), float32 `[T, E]`."""
    weights: torch.Tensor
    """Probabilities of the chosen experts, scaled to sum to 1, float32 `[T, k]`."""
    chosen: torch.Tensor
    """The chosen experts, int64 `[T, k]`, the likeliest first."""
    real: torch.Tensor | None = None
    """Tokens that are not padding, bool `[T]`; None when all are. Padding is in no loss and no count."""

    def counts(self) -> torch.Tensor:
        """Real tokens sent to each expert, int64 `[E]`, summing to (real tokens) x k."""
        chosen = self.chosen.flatten()
        ones = (
            torch.ones_like(chosen) if self.real is None else self.real.repeat_interleave(self.chosen.shape[1]).long()
        )
        # bincount would wait for the GPU
        return chosen.new_zeros(self.logits.shape[1]).scatter_add_(0, chosen, ones.flatten())


class MixtureOfExperts(nn.Module):
    balance_bias: torch.Tensor

    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        self.num_chosen, self.router = config.experts_per_token, config.router
        self.biased, self.bias_update_rate = config.balancing == "bias", config.bias_update_rate
        experts, inner, hidden = config.num_experts, config.ffn_size, config.hidden_size
        self.gate = nn.Linear(hidden, experts, bias=False)
        # Mixtral's w1 (gate) and w3 (up) of an expert lie one above the other, so that one product makes both
        self.w13 = nn.Parameter(torch.empty(experts, 2 * inner, hidden))
        self.w2 = nn.Parameter(torch.empty(experts, hidden, inner))
        if self.biased:
            self.register_buffer("balance_bias", torch.zeros(experts))
        self.num_shared = config.shared_experts
        if self.num_shared:  # n experts side by side are one of n x F: w1 of all, then w3 of all
            self.shared_w13 = nn.Parameter(torch.empty(2 * self.num_shared * inner, hidden))
            self.shared_w2 = nn.Parameter(torch.empty(hidden, self.num_shared * inner))

    def route(self, x_TH: torch.Tensor, real_T: torch.Tensor | None = None) -> Routing:
        """Score all experts, keep the top k, renormalise: by default exactly as MixtralForCausalLM.

        A balancing bias decides who is chosen and never how much a chosen one weighs (arXiv 2412.19437, eq. 16).
        """
        logits = self.gate(x_TH.to(self.gate.weight.dtype))  # training in bfloat16 keeps the router in float32
        bias = self.balance_bias if self.biased else None
        return choose(logits, self.num_chosen, router=self.router, bias=bias, real_T=real_T)

    def forward(self, x_TH: torch.Tensor, real_T: torch.Tensor | None = None) -> tuple[torch.Tensor, Routing]:
        routing = self.route(x_TH, real_T)
        y_TH = run_experts(x_TH, self.w13, self.w2, routing.weights, routing.chosen)
        return (y_TH + self.shared(x_TH) if self.num_shared else y_TH), routing

    def shared(self, x_TH: torch.Tensor) -> torch.Tensor:
        """Sum of what the shared experts make of each token, `[T, H]`."""
        gate, up = F.linear(x_TH, self.shared_w13).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, self.shared_w2)

    @torch.no_grad()
    def balance(self, counts_E: torch.Tensor) -> None:
        """Step the bias up for experts that got fewer tokens than the mean, down for those that got more.

        arXiv 2408.15664, algorithm 1. Does nothing to a layer that has no bias.
        """
        if self.biased:
            counts = counts_E.to(self.balance_bias.device, self.balance_bias.dtype)
            self.balance_bias += self.bias_update_rate * (counts.mean() - counts).sign()

    def forward_naive(self, x_TH: torch.Tensor) -> tuple[torch.Tensor, Routing]:
        """The layer as the papers write it, token by token: sum of weight x w2(silu(w1 x) * w3 x) over the chosen, and
        of the same, unweighted, over the shared. The test oracle."""
        routing = self.route(x_TH)
        rows = []
        for x, weights, chosen in zip(x_TH, routing.weights, routing.chosen, strict=True):
            outputs = [_expert(x, w1, w3, w2) for w1, w3, w2 in self._shared_experts()]
            for weight, expert in zip(weights, chosen, strict=True):
                w1, w3 = self.w13[expert].chunk(2)
                outputs.append(weight * _expert(x, w1, w3, self.w2[expert]))
            rows.append(torch.stack(outputs).sum(0))
        return torch.stack(rows), routing

    def _shared_experts(self) -> list[tuple[torch.Tensor, ...]]:
        """w1, w3 `[F, H]` and w2 `[H, F]` of each shared expert."""
        if not self.num_shared:
            return []
        w1, w3 = self.shared_w13.chunk(2)
        pieces = (w1.chunk(self.num_shared), w3.chunk(self.num_shared), self.shared_w2.chunk(self.num_shared, dim=1))
        return list(zip(*pieces, strict=True))


def choose(
    logits: torch.Tensor, num_chosen: int, *, router: str, bias: torch.Tensor | None, real_T: torch.Tensor | None = None
) -> Routing:
    """From the router's logits `[..., E]` to the experts of each token; `bias` is added to the scores that rank."""
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))  # logarithms of them, up to a constant
    if router == "sigmoid":
        scores = F.logsigmoid(scores)
    probabilities = scores.softmax(dim=-1)
    if bias is None:  # these very operations, for bits equal to Mixtral's
        weights, chosen = probabilities.topk(num_chosen, dim=-1)
        return Routing(logits, probabilities, weights / weights.sum(dim=-1, keepdim=True), chosen, real_T)
    ranked = (scores.exp() if router == "sigmoid" else probabilities).detach() + bias
    chosen = ranked.topk(num_chosen, dim=-1).indices
    # the same weights, but the bias may choose experts whose probabilities underflow: so by a softmax over them
    return Routing(logits, probabilities, scores.gather(-1, chosen).softmax(dim=-1), chosen, real_T)


def _expert(x_H: torch.Tensor, w1: torch.Tensor, w3: torch.Tensor, w2: torch.Tensor) -> torch.Tensor:
    return w2 @ (F.silu(w1 @ x_H) * (w3 @ x_H))
