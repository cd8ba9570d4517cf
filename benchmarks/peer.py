"""transformers' MixtralForCausalLM as the peer of our training step: same shape, optimiser, schedule and clipping."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from orfevre import recipe
from orfevre.engine import optim

PRECISIONS = ("float32", "autocast", "bfloat16", "compiled")
"""`autocast`: bfloat16 products over float32 weights, torch.autocast. `bfloat16`: weights, gradients and AdamW's
moments in bfloat16 (the "pure" setting, which keeps no float32 copy). `compiled`: that, through torch.compile."""
EXPERTS = ("grouped_mm", "eager")
"""Those of transformers 5 that fit: `batched_mm` copies an expert's weights for each token, gigabytes here."""


class Peer:
    """One setting of transformers; `step` trains on one batch and returns its cross entropy with the router's loss."""

    def __init__(
        self,
        shape: recipe.Model,
        vocab_size: int,
        precision: str,
        experts: str,
        state: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.name, self.precision = f"transformers {precision} ({experts})", precision
        self.model = _model(shape, vocab_size, experts)
        if state is not None:
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    parameter.copy_(state[name])
        if precision in ("bfloat16", "compiled"):
            self.model.to(torch.bfloat16)
        rules = recipe.Optim()
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            betas=(rules.beta1, rules.beta2),
            eps=rules.eps,
            weight_decay=rules.weight_decay,
            fused=True,
        )
        self.run: Any = torch.compile(self.model) if precision == "compiled" else self.model

    def step(self, batch: npt.NDArray[np.int64], index: int, training: recipe.Training) -> float:
        ids = torch.from_numpy(batch)
        targets = ids[:, 1:].contiguous()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "autocast"):
            loss = self.run(input_ids=ids[:, :-1], labels=targets, shift_labels=targets).loss
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.optim.grad_clip)
        for group in self.optimiser.param_groups:
            group["lr"] = optim.learning_rate(index, training.num_steps, training.optim)
        self.optimiser.step()
        return float(loss.detach())


def _model(shape: recipe.Model, vocab_size: int, experts: str) -> Any:
    import transformers

    return transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            vocab_size=vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.ffn_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_kv_heads,
            head_dim=shape.head_width,
            max_position_embeddings=shape.context_length,
            num_local_experts=shape.num_experts,
            num_experts_per_tok=shape.experts_per_token,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
            rms_norm_eps=shape.norm_eps,
            tie_word_embeddings=shape.tie_embeddings,
            output_router_logits=shape.aux_loss_weight > 0,
            router_aux_loss_coef=shape.aux_loss_weight,
            use_cache=False,
            experts_implementation=experts,
        )
    )
