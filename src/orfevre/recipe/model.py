"""The shape of a model and how it is optimised: shared by proxies, checks and the real run."""

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from .base import Count, Fraction, Name, NonNegative, Positive, Section


class Model(Section):
    """A decoder of the Mixtral family (arXiv 2401.04088): RMSNorm, GQA, RoPE, SwiGLU experts, top-k routing."""

    hidden_size: Count = 256
    """Width of the residual stream."""

    num_layers: Count = 6
    """Transformer blocks."""

    num_heads: Count = 8
    """Query heads."""

    num_kv_heads: Count = 4
    """Key and value heads (grouped-query attention); divides num_heads."""

    head_size: int = Field(default=0, ge=0)
    """Width of a head; 0 is hidden_size / num_heads. Must be even (RoPE)."""

    ffn_size: Count = 512
    """Inner width of one expert."""

    num_experts: Count = 8
    """Experts in a layer; 1 is a dense model."""

    experts_per_token: Count = 2
    """Experts each token is sent to."""

    shared_experts: int = Field(default=0, ge=0)
    """Experts of ffn_size that every token passes through, beside the chosen ones (DeepSeekMoE, arXiv 2401.06066)."""

    router: Literal["softmax", "sigmoid"] = "softmax"
    """Scores of the experts: `softmax` over all of them as Mixtral's, or a `sigmoid` each (DeepSeek-V3, arXiv
    2412.19437, eq. 15). Those of the chosen are scaled to sum to 1 either way."""

    balancing: Literal["loss", "bias"] = "loss"
    """How the load is kept even: the load-balancing `loss`, or, instead of it, a `bias` on each expert's score that
    counts only when experts are chosen and is stepped up or down after each batch (arXiv 2408.15664)."""

    bias_update_rate: Positive = 0.001
    """Step of that bias; with balancing = "bias" only."""

    vocab_size: int = Field(default=0, ge=0)
    """0 takes the tokenizer's size; otherwise it must not be smaller than that."""

    context_length: Count = 512
    """Longest sequence the model is trained on, tokens."""

    rope_theta: Positive = 1_000_000.0
    """Base of the rotary embedding; Mixtral uses 1e6."""

    norm_eps: Positive = 1e-5
    """Added to the mean square in RMSNorm."""

    tie_embeddings: bool = False
    """Share the input embedding with the output projection."""

    sliding_window: int = Field(default=0, ge=0)
    """Positions a token attends to, its own included (arXiv 2310.06825); 0 is all before it."""

    qk_norm: bool = False
    """RMSNorm of each head's queries and keys before RoPE, with one weight for all heads, as Qwen3."""

    mtp_depth: int = Field(default=0, ge=0)
    """Blocks that predict one, two ... tokens further ahead while training (multi-token prediction, arXiv 2412.19437,
    section 2.2); inference leaves them out."""

    mtp_loss_weight: NonNegative = 0.3
    """Weight of the mean of their cross entropies; with mtp_depth only."""

    aux_loss_weight: NonNegative = 0.02
    """Weight of the load-balancing loss (arXiv 2101.03961, eq. 4, generalised to top-k as Mixtral's release does);
    with balancing = "loss" only."""

    z_loss_weight: NonNegative = 0.001
    """Weight of the router z-loss (arXiv 2202.08906, eq. 5)."""

    @property
    def head_width(self) -> int:
        return self.head_size or self.hidden_size // self.num_heads

    @property
    def beyond_mixtral(self) -> tuple[str, ...]:
        """Settings, as the recipe writes them, that change what the model computes and that MixtralForCausalLM lacks.

        Blocks that look ahead are none: inference leaves them out. A sliding window is none: Mixtral has a key for it.
        """
        settings = {
            f"model.shared_experts = {self.shared_experts}": self.shared_experts > 0,
            "model.qk_norm = true": self.qk_norm,
            'model.router = "sigmoid"': self.router != "softmax",
            'model.balancing = "bias"': self.balancing != "loss",
        }
        return tuple(setting for setting, used in settings.items() if used)

    @property
    def unstackable(self) -> str:
        """The setting that keeps models of this shape from being trained as a stack (model/stacked.py), or ""."""
        return f"mtp_depth = {self.mtp_depth}" if self.mtp_depth else ""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if not self.head_size and self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide by num_heads {self.num_heads}; give head_size"
            )
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide by num_kv_heads {self.num_kv_heads}")
        if self.head_width % 2:
            raise ValueError(f"a head of {self.head_width} is odd; RoPE rotates pairs, so make it even")
        if self.experts_per_token > self.num_experts:
            raise ValueError(f"experts_per_token {self.experts_per_token} exceeds num_experts {self.num_experts}")
        return self

    @model_validator(mode="after")
    def _options_have_something_to_do(self) -> Self:
        if self.balancing == "bias" and self.experts_per_token == self.num_experts:
            raise ValueError(
                f'balancing = "bias" has nothing to balance: each token goes to all {self.num_experts} experts; '
                'raise num_experts or leave balancing at "loss"'
            )
        if self.mtp_depth >= self.context_length:
            raise ValueError(
                f"mtp_depth {self.mtp_depth} looks past the end of every sequence (context_length "
                f"{self.context_length}); lower it"
            )
        return self


class Optim(Section):
    learning_rate: Positive = 1e-3
    """Peak learning rate of AdamW."""

    schedule: Literal["cosine", "wsd"] = "cosine"
    """`cosine` decays over the whole run; `wsd` holds the peak, then decays (warm-up, stable, decay)."""

    warmup_fraction: Fraction = 0.05
    """Share of steps with a linear warm-up from zero."""

    decay_fraction: Fraction = 0.2
    """wsd only: share of steps in the final linear decay."""

    final_fraction: Fraction = 0.1
    """Learning rate at the end, as a share of the peak."""

    weight_decay: NonNegative = 0.1
    """AdamW decay, on matrices only: not on norms, biases or embeddings."""

    beta1: Fraction = 0.9
    """AdamW first-moment decay."""

    beta2: Fraction = 0.95
    """AdamW second-moment decay."""

    eps: Positive = 1e-8
    """AdamW denominator term."""

    grad_clip: NonNegative = 1.0
    """Largest global gradient norm; 0 turns clipping off."""


class Training(Section):
    """How long, in what batches and how a model is trained."""

    tokens: Count = 1_000_000
    """Training tokens in all; rounded down to whole steps."""

    batch_sequences: Count = 16
    """Sequences in one optimiser step."""

    sequence_length: Count = 256
    """Tokens in a sequence; at most the model's context_length."""

    document_mask: bool = True
    """Keep documents that share a sequence apart: attention stays within one, and what follows one is not predicted.
    Off, a token sees the documents before its own, as many published models were trained."""

    optim: Optim = Optim()
    """AdamW and its schedule."""

    @property
    def tokens_per_step(self) -> int:
        return self.batch_sequences * self.sequence_length

    @property
    def num_steps(self) -> int:
        return self.tokens // self.tokens_per_step

    @model_validator(mode="after")
    def _at_least_one_step(self) -> Self:
        if self.num_steps < 1:
            raise ValueError(
                f"tokens {self.tokens} is less than one step of {self.tokens_per_step} tokens "
                "(batch_sequences x sequence_length); raise tokens or lower the batch"
            )
        return self


class Phase(Section):
    """A share of the run with weights of its own."""

    until: float = Field(gt=0.0, le=1.0)
    """Where it ends, as a share of the run's samples; it begins where the phase before it ended."""

    weights: Literal["mixture"] | dict[Name, NonNegative] = "mixture"
    """`mixture` is what the mix stage chose; otherwise a weight for each source read, summing to 1. What a
    source that is split by `domains` has is divided evenly over its parts."""

    @model_validator(mode="after")
    def _is_a_mixture(self) -> Self:
        if self.weights != "mixture" and abs(sum(self.weights.values()) - 1) > 1e-6:
            raise ValueError(f"the weights sum to {sum(self.weights.values()):g}; make them sum to 1")
        return self


class Train(Training):
    phases: tuple[Phase, ...] = ()
    """Weights that change on the way, for instance a last tenth of the best sources; none is the mixture throughout."""

    checkpoint_minutes: Positive = 10.0
    """A checkpoint is written at least this often; a kill loses at most this much."""

    keep_checkpoints: Count = 2
    """Older checkpoints are deleted."""

    validate_every_steps: int = Field(default=0, ge=0)
    """Measure validation loss every so many steps; 0 only at the end."""

    validation_tokens: Count = 16_384
    """Held-out tokens of each source that such a measurement reads; `evaluate` measures with more care."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of matrix products; master weights and optimiser state stay float32."""

    @model_validator(mode="after")
    def _phases_fill_the_run(self) -> Self:
        ends = [phase.until for phase in self.phases]
        if ends and (ends[-1] != 1.0 or any(later <= end for end, later in pairwise(ends))):
            raise ValueError(f"phases end at {', '.join(map(str, ends))} of the run; make them rise to 1.0")
        return self
