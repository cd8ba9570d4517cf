"""Parameters, FLOPs and memory of a model, by arithmetic, without torch.

FLOPs follow PaLM, appendix B (arXiv 2204.02311): a training token costs 6 FLOPs for each matrix weight it
meets (a multiply and an add, forward once and backward twice) plus 12 x layers x heads x head size x
sequence length for attention scores and their use. Two choices are ours: attention is halved, for a causal
token sees half the sequence on average; and the weights counted are those of matrix products (attention,
the experts a token is sent to, router, output projection), not the input embedding, which is a lookup.
Recomputed activations are not counted: this is the work the result needs, not what a machine happened to do.
"""

from dataclasses import dataclass

from orfevre.recipe import Model


@dataclass(frozen=True)
class Parameters:
    """Number of weights, whole model."""

    total: int
    active: int
    """Weights that one token meets: `total` without the experts it is not sent to."""
    embedding: int
    """Input embedding and output projection; counted once when tied."""
    attention: int
    experts: int
    router: int
    norms: int


@dataclass(frozen=True)
class Memory:
    """Bytes on one accelerator."""

    weights: float
    gradients: float
    optimiser: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimiser + self.activations


def parameters(model: Model, vocab_size: int) -> Parameters:
    """Weights of a Mixtral-layout model (arXiv 2401.04088): no biases, two RMSNorms a block."""
    embedding = model.hidden_size * vocab_size * (1 if model.tie_embeddings else 2)
    attention = model.num_layers * _attention_per_layer(model)
    experts = model.num_layers * model.num_experts * _expert(model)
    router = model.num_layers * model.hidden_size * model.num_experts
    norms = (2 * model.num_layers + 1) * model.hidden_size
    total = embedding + attention + experts + router + norms
    idle = model.num_layers * (model.num_experts - model.experts_per_token) * _expert(model)
    return Parameters(total, total - idle, embedding, attention, experts, router, norms)


def forward_flops_per_token(model: Model, vocab_size: int, sequence_length: int) -> float:
    """FLOPs of one token's forward pass in a sequence of `sequence_length`; see the module's convention."""
    per_layer = (
        _attention_per_layer(model) + model.experts_per_token * _expert(model) + model.hidden_size * model.num_experts
    )
    matrix_weights = model.num_layers * per_layer + model.hidden_size * vocab_size
    # scores and their use are 4 FLOPs for each pair of tokens and channel; halved: causal
    attention = 2 * model.num_layers * model.num_heads * model.head_width * sequence_length
    return 2.0 * matrix_weights + attention


def flops_per_token(model: Model, vocab_size: int, sequence_length: int) -> float:
    """FLOPs of training on one token: forward, and twice that backward."""
    return 3.0 * forward_flops_per_token(model, vocab_size, sequence_length)


def memory(
    model: Model,
    vocab_size: int,
    sequence_length: int,
    *,
    num_devices: int = 1,
    sequences_per_device: int = 1,
) -> Memory:
    """Bytes on each of `num_devices` accelerators that train together, FSDP (arXiv 2304.11277).

    Assumed: float32 master weights, gradients and the two AdamW moments, all split evenly; products in
    bfloat16, with two blocks (the one at work and the one fetched ahead) gathered whole and one block's
    gradients not yet reduced; every block's input kept and its inside recomputed (arXiv 1604.06174);
    attention without a score matrix (arXiv 2205.14135); logits and their gradient in float32, whole. Left
    out: the allocator's fragments, buffers of the communication library, the process itself.
    """
    total = parameters(model, vocab_size).total
    block = _attention_per_layer(model) + model.num_experts * (_expert(model) + model.hidden_size)
    gathered = max(block, model.hidden_size * vocab_size)  # the output projection is a unit of its own
    sharded = total / num_devices
    tokens = sequences_per_device * sequence_length
    return Memory(
        weights=4 * sharded + 2 * (2 * gathered),
        gradients=4 * sharded + 2 * gathered,
        optimiser=8 * sharded,
        activations=float(tokens * _activation_bytes_per_token(model, vocab_size)),
    )


def _attention_per_layer(model: Model) -> int:
    queries, keys = model.num_heads * model.head_width, model.num_kv_heads * model.head_width
    return model.hidden_size * (2 * queries + 2 * keys)  # query and output; key and value


def _expert(model: Model) -> int:
    return 3 * model.hidden_size * model.ffn_size  # gate, up and down: SwiGLU


def _activation_bytes_per_token(model: Model, vocab_size: int) -> int:
    kept = model.num_layers * model.hidden_size  # input of every block
    heads = 2 * (model.num_heads + model.num_kv_heads) * model.head_width  # queries and output, keys and values
    expert = 2 * model.hidden_size + 4 * model.ffn_size  # in, out; gate, its SiLU, up, product
    inside = 4 * model.hidden_size + heads + model.experts_per_token * expert
    return 2 * (kept + 2 * inside) + 4 * (2 * vocab_size)  # inside: values and their gradients
