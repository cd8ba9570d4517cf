"""The sparse mixture-of-experts layer (arXiv 2401.04088, section 2.1): a router and E SwiGLU experts, k for a token.

Shapes: T tokens, H hidden, F inner width of an expert, E experts, k experts per token.
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
    """Softmax over all experts, float32 `[T, E]`."""
    weights: torch.Tensor
    """Probabilities of the chosen experts, scaled to sum to 1, float32 `[T, k]`."""
    chosen: torch.Tensor
    """The chosen experts, int64 `[T, k]`, the likeliest first."""

    def counts(self) -> torch.Tensor:
        """Tokens sent to each expert, int64 `[E]`, summing to T x k."""
        return torch.bincount(self.chosen.flatten(), minlength=self.logits.shape[1])


class MixtureOfExperts(nn.Module):
    def __init__(self, config: recipe.Model) -> None:
        super().__init__()
        self.num_chosen = config.experts_per_token
        experts, inner, hidden = config.num_experts, config.ffn_size, config.hidden_size
        self.gate = nn.Linear(hidden, experts, bias=False)
        # Mixtral's w1 (gate) and w3 (up) of an expert lie one above the other, so that one product makes both
        self.w13 = nn.Parameter(torch.empty(experts, 2 * inner, hidden))
        self.w2 = nn.Parameter(torch.empty(experts, hidden, inner))

    def route(self, x_TH: torch.Tensor) -> Routing:
        """Softmax over all experts, keep the top k, renormalise: exactly as MixtralForCausalLM."""
        logits = self.gate(x_TH)
        probabilities = logits.softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        weights, chosen = probabilities.topk(self.num_chosen, dim=-1)
        return Routing(logits, probabilities, weights / weights.sum(dim=-1, keepdim=True), chosen)

    def forward(self, x_TH: torch.Tensor) -> tuple[torch.Tensor, Routing]:
        routing = self.route(x_TH)
        return run_experts(x_TH, self.w13, self.w2, routing.weights, routing.chosen), routing

    def forward_naive(self, x_TH: torch.Tensor) -> tuple[torch.Tensor, Routing]:
        """The layer as the paper writes it, token by token: sum of weight x w2(silu(w1 x) * w3 x). The test oracle."""
        routing = self.route(x_TH)
        rows = []
        for x, weights, chosen in zip(x_TH, routing.weights, routing.chosen, strict=True):
            outputs = []
            for weight, expert in zip(weights, chosen, strict=True):
                gate, up = (self.w13[expert] @ x).chunk(2)
                outputs.append(weight * (self.w2[expert] @ (F.silu(gate) * up)))
            rows.append(torch.stack(outputs).sum(0))
        return torch.stack(rows), routing
