"""AdamW (arXiv 1711.05101) and its learning-rate schedules."""

import math

import torch

from orfevre import recipe
from orfevre.model.transformer import Transformer


def adamw(model: Transformer, optim: recipe.Optim) -> torch.optim.AdamW:
    """Decay falls on matrices that multiply: attention, experts, router, output projection. Norms and the embedding
    (tied to the output or not) are spared."""
    embedding = model.embedding.weight
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for parameter in model.parameters():
        groups[parameter.ndim > 1 and parameter is not embedding].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": groups[True], "weight_decay": optim.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=optim.learning_rate,
        betas=(optim.beta1, optim.beta2),
        eps=optim.eps,
        fused=True,
    )


def learning_rate(step: int, num_steps: int, optim: recipe.Optim) -> float:
    """Rate of step `step`, counted from 0. Linear warm-up that ends on the peak; the last step has the final rate.

    `cosine` (arXiv 1608.03983): half a cosine from the end of warm-up to the last step. `wsd` (arXiv 2404.06395): the
    peak is held, then falls linearly over the last `decay_fraction` of the steps.
    """
    peak, final = optim.learning_rate, optim.final_fraction
    warmup = round(optim.warmup_fraction * num_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if optim.schedule == "cosine":
        progress = (step - warmup) / max(1, num_steps - 1 - warmup)
        return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
    decay = round(optim.decay_fraction * num_steps)
    progress = max(0, step - (num_steps - decay) + 1) / max(1, decay)
    return peak * (1 - (1 - final) * progress)
