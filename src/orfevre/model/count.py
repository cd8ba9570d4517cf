"""Parameters, FLOPs and memory of a model, by arithmetic, without torch.

FLOPs follow PaLM, appendix B (arXiv 2204.02311): a training token costs 6 FLOPs for each matrix weight it
meets (a multiply and an add, forward once and backward twice) plus 12 x layers x heads x head size x
sequence length for attention scores and their use. Two choices are ours: attention is halved, for a causal
token sees half the sequence on average (and fewer in a window); and the weights counted are those of matrix
products (attention, the experts a token is sent to and the shared ones, router, output projection), not the
input embedding, which is a lookup. Blocks that look ahead (mtp_depth) count in training only. Recomputed
activations are not counted, nor is attention that document_mask spares: this is the work that the shape needs,
not what a machine happened to do.

Letters: L layers, H hidden, F inner width of an expert, E experts, N and K query and key-value heads, D head
width, V vocabulary, S sequence length, W window.
"""

from dataclasses import dataclass

from orfevre.recipe import Model


@dataclass(frozen=True)
class Parameters:
    """Number of weights, whole model."""

    total: int
    active: int
    """Weights that one token meets in inference: `total` without the experts it is not sent to, and without `mtp`."""
    embedding: int
    """Input embedding and output projection; counted once when tied."""
    attention: int
    experts: int
    """Shared experts among them."""
    router: int
    norms: int
    mtp: int
    """Blocks that look ahead while training, all of their weights."""


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
    """Weights of a Mixtral-layout model (arXiv 2401.04088) with its options: no biases, two RMSNorms a block, two more
    with qk_norm. What balances the load without a gradient (balancing = "bias") is no weight.
    """
    layers = model.num_layers
    embedding = model.hidden_size * vocab_size * (1 if model.tie_embeddings else 2)
    attention = layers * _attention_per_layer(model)
    experts = layers * (model.num_experts + model.shared_experts) * _expert(model)
    router = layers * _router(model)
    norms = layers * _norms_per_layer(model) + model.hidden_size
    mtp = model.mtp_depth * (_block(model) + _joining(model) + 3 * model.hidden_size)
    total = embedding + attention + experts + router + norms + mtp
    idle = layers * (model.num_experts - model.experts_per_token) * _expert(model)
    return Parameters(total, total - idle - mtp, embedding, attention, experts, router, norms, mtp)


def forward_flops_per_token(model: Model, vocab_size: int, sequence_length: int) -> float:
    """FLOPs of one token's forward pass in a sequence of `sequence_length`, as in inference; see the convention."""
    blocks = model.num_layers * _block_flops(model, sequence_length)
    return blocks + 2.0 * model.hidden_size * vocab_size


def flops_per_token(model: Model, vocab_size: int, sequence_length: int) -> float:
    """FLOPs of training on one token: forward, blocks that look ahead included, and twice that backward."""
    forward = forward_flops_per_token(model, vocab_size, sequence_length)
    for depth in range(1, model.mtp_depth + 1):
        left = sequence_length - depth  # positions that have a token so far ahead
        matrices = 2.0 * (_joining(model) + model.hidden_size * vocab_size)
        forward += (_block_flops(model, left) + matrices) * left / sequence_length
    return 3.0 * forward


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
    block = _block(model) - _norms_per_layer(model)
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


def _router(model: Model) -> int:
    return model.hidden_size * model.num_experts


def _norms_per_layer(model: Model) -> int:
    return 2 * model.hidden_size + (2 * model.head_width if model.qk_norm else 0)


def _joining(model: Model) -> int:
    return 2 * model.hidden_size * model.hidden_size  # stream and embedding side by side, to one stream


def _block(model: Model) -> int:
    experts = (model.num_experts + model.shared_experts) * _expert(model)
    return _attention_per_layer(model) + experts + _router(model) + _norms_per_layer(model)


def _block_flops(model: Model, sequence_length: int) -> float:
    """FLOPs of one token's way through one block, forward."""
    experts = (model.experts_per_token + model.shared_experts) * _expert(model)
    matrix_weights = _attention_per_layer(model) + experts + _router(model)
    # the pairs of tokens that see each other are a triangle of side S, less, in a window, one of side S - W
    window = min(model.sliding_window or sequence_length, sequence_length)
    pairs = window * (2 * sequence_length - window) / (2 * sequence_length)
    # scores and their use are 4 FLOPs for each pair of tokens and channel
    return 2.0 * matrix_weights + 4 * model.num_heads * model.head_width * pairs


def _activation_bytes_per_token(model: Model, vocab_size: int) -> int:
    kept = (model.num_layers + model.mtp_depth) * model.hidden_size  # input of every block
    heads = 2 * (model.num_heads + model.num_kv_heads) * model.head_width  # queries and output, keys and values
    expert = 2 * model.hidden_size + 4 * model.ffn_size  # in, out; gate, its SiLU, up, product
    inside = 4 * model.hidden_size + heads + (model.experts_per_token + model.shared_experts) * expert
    return 2 * (kept + 2 * inside) + 4 * (2 * vocab_size)  # inside: values and their gradients
