"""AdamW (arXiv 1711.05101) and its learning-rate schedules."""

import ctypes
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim.adamw import adamw as torch_adamw

from orfevre import recipe
from orfevre.kernels import train as kernels
from orfevre.model.transformer import Transformer

Pairs = Sequence[tuple[torch.nn.Parameter, torch.nn.Parameter]]


class AdamW(torch.optim.Optimizer):
    """AdamW over float32 master weights whose gradients come from, and whose new values go to, a working copy.

    Clipping and the copy are part of the one pass over memory. State as torch.optim.AdamW: step, exp_avg, exp_avg_sq.
    """

    def __init__(self, groups: list[dict[str, Any]], pairs: Pairs, rules: recipe.Optim) -> None:
        super().__init__(groups, {"lr": rules.learning_rate})
        self.rules, self.working = rules, dict(pairs)

    def follow(self, pairs: Pairs) -> None:
        """Take gradients from these working parameters from now on, and give them the new weights."""
        self.working = dict(pairs)

    def gradient_norm(self) -> float:
        """Root of the sum of squares of all gradients, summed in float64 in an order that threads do not change."""
        total = sum(_square_sum(each.grad) for each in self.working.values() if each.grad is not None)
        return math.sqrt(total)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None, scale: float = 1.0) -> None:  # type: ignore[override]
        """One step with gradients times `scale`, which are then let go. A parameter without one is left as it is."""
        assert closure is None, "AdamW does not call closures"
        for group in self.param_groups:
            for master in group["params"]:
                if self.working[master].grad is not None:
                    self._step_one(master, group["lr"], group["weight_decay"], scale)
                    self.working[master].grad = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        for each in self.working.values():
            each.grad = None

    def _step_one(self, master: torch.nn.Parameter, rate: float, weight_decay: float, scale: float) -> None:
        state, working, rules = self.state[master], self.working[master], self.rules
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(master), exp_avg_sq=torch.zeros_like(master))
        mean, square, grad = state["exp_avg"], state["exp_avg_sq"], working.grad
        assert grad is not None
        library = kernels.library()
        together = (master, mean, square, grad, working)
        if library is None or not all(each.device.type == "cpu" and each.is_contiguous() for each in together):
            torch_adamw(
                [master], [grad.to(master.dtype) * scale], [mean], [square], [], [state["step"]], fused=True,
                amsgrad=False, beta1=rules.beta1, beta2=rules.beta2, lr=rate, weight_decay=weight_decay,
                eps=rules.eps, maximize=False,
            )  # fmt: skip
            if working is not master:
                working.copy_(master)
            return
        state["step"] += 1
        count = float(state["step"])
        numbers = kernels.AdamWRules(
            rate, rules.beta1, rules.beta2, rules.eps, rate * weight_decay, 1 - rules.beta1**count,
            math.sqrt(1 - rules.beta2**count), scale,
        )  # fmt: skip
        library.orfevre_adamw(
            master.data_ptr(), mean.data_ptr(), square.data_ptr(), grad.data_ptr(),
            0 if working is master else working.data_ptr(), master.numel(), ctypes.byref(numbers),
            int(grad.dtype == torch.bfloat16), torch.get_num_threads(),
        )  # fmt: skip


def adamw(model: Transformer, optim: recipe.Optim, pairs: Pairs | None = None) -> AdamW:
    """Decay falls on matrices that multiply: attention, experts, router, output projection. Norms and the embedding
    (tied to the output or not) are spared. `pairs`: each master parameter and its working copy, by default itself."""
    embedding = model.embedding.weight
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for parameter in model.parameters():
        groups[parameter.ndim > 1 and parameter is not embedding].append(parameter)
    return AdamW(
        [
            {"params": groups[True], "weight_decay": optim.weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        [(each, each) for each in model.parameters()] if pairs is None else pairs,
        optim,
    )


def _square_sum(grad: torch.Tensor) -> float:
    return square_sums(grad[None])[0]


def square_sums(grads_K: torch.Tensor) -> list[float]:
    """Sum of squares of each of K gradients `[K, ...]`, in float64."""
    library = kernels.library()
    if library is None or grads_K.device.type != "cpu" or not grads_K.is_contiguous():
        return grads_K.double().flatten(1).square().sum(1).tolist()
    size, half = grads_K[0].numel(), int(grads_K.dtype == torch.bfloat16)
    partials = torch.empty(library.orfevre_square_blocks(size), dtype=torch.float64)
    start, step, place = grads_K.data_ptr(), size * grads_K.element_size(), partials.data_ptr()
    return [
        float(library.orfevre_square_sum(start + index * step, place, size, half, torch.get_num_threads()))
        for index in range(len(grads_K))
    ]


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
