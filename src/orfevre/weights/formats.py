"""The tables of the layouts that are read and written: Hugging Face's two, Mistral's two, and our own names.

Shapes: V vocabulary, H hidden, F inner width of an expert, E experts, N query heads, K key-value heads, D head width.
"""

import torch

from orfevre import recipe
from orfevre.model.transformer import Transformer

from .layout import Builder, Layout


def own(config: recipe.Model, vocab_size: int) -> Layout:
    """Our parameters under our names: of checkpoints, and of models whose options Mixtral's format cannot say."""
    builder = Builder(config)
    for name, shape in own_shapes(config, vocab_size).items():
        builder.whole(name, name, shape)
    return builder.done()


def own_shapes(config: recipe.Model, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Every parameter and lasting buffer of a Transformer, a tied one once; nothing is allocated."""
    with torch.device("meta"):
        model = Transformer(config, vocab_size)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    lasting = model.state_dict()
    return shapes | {name: tuple(buffer.shape) for name, buffer in model.named_buffers() if name in lasting}


def hugging_face(config: recipe.Model, vocab_size: int, *, fused: bool = False) -> Layout:
    """MixtralForCausalLM: one tensor an expert, as published, or `fused` as transformers 5 holds them."""
    builder = Builder(config)
    experts, inner, hidden = config.num_experts, config.ffn_size, config.hidden_size
    builder.whole("model.embed_tokens.weight", "embedding.weight", (vocab_size, hidden))
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}.", f"model.layers.{layer}."
        _hugging_face_attention(builder, ours, theirs)
        moe = theirs + ("mlp." if fused else "block_sparse_moe.")
        builder.whole(f"{moe}gate.weight", f"{ours}moe.gate.weight", (experts, hidden))
        if fused:
            builder.whole(f"{moe}experts.gate_up_proj", f"{ours}moe.w13", (experts, 2 * inner, hidden))
            builder.whole(f"{moe}experts.down_proj", f"{ours}moe.w2", (experts, hidden, inner))
        else:
            expert = moe + "experts.{e}."
            builder.experts((f"{expert}w1.weight", f"{expert}w2.weight", f"{expert}w3.weight"), f"{ours}moe.")
    return _hugging_face_end(builder, vocab_size)


def hugging_face_dense(config: recipe.Model, vocab_size: int) -> Layout:
    """MistralForCausalLM and LlamaForCausalLM: one expert and no router."""
    builder = Builder(config)
    builder.whole("model.embed_tokens.weight", "embedding.weight", (vocab_size, config.hidden_size))
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}.", f"model.layers.{layer}."
        _hugging_face_attention(builder, ours, theirs)
        names = (f"{theirs}mlp.gate_proj.weight", f"{theirs}mlp.down_proj.weight", f"{theirs}mlp.up_proj.weight")
        builder.experts(names, f"{ours}moe.")
    return _hugging_face_end(builder, vocab_size)


def _hugging_face_attention(builder: Builder, ours: str, theirs: str) -> None:
    config = builder.config
    width, hidden = config.num_heads * config.head_width, config.hidden_size
    builder.whole(f"{theirs}input_layernorm.weight", f"{ours}attention_norm.weight", (hidden,))
    names = (f"{theirs}self_attn.q_proj.weight", f"{theirs}self_attn.k_proj.weight", f"{theirs}self_attn.v_proj.weight")
    builder.attention(names, f"{ours}attention.qkv.weight", "same")
    builder.whole(f"{theirs}self_attn.o_proj.weight", f"{ours}attention.out.weight", (hidden, width))
    builder.whole(f"{theirs}post_attention_layernorm.weight", f"{ours}moe_norm.weight", (hidden,))


def _hugging_face_end(builder: Builder, vocab_size: int) -> Layout:
    builder.whole("model.norm.weight", "norm.weight", (builder.config.hidden_size,))
    if not builder.config.tie_embeddings:
        builder.whole("lm_head.weight", "output.weight", (vocab_size, builder.config.hidden_size))
    return builder.done()


def mistral(config: recipe.Model, vocab_size: int, *, stacked: bool = False, router: bool = True) -> Layout:
    """Mistral's own: pairs that RoPE turns lie side by side. One tensor an expert, as since 8x22B, or `stacked` as in
    the first release of 8x7B, w2 transposed. Without a `router` it is a dense model's, with one expert."""
    builder = Builder(config)
    hidden, width = config.hidden_size, config.num_heads * config.head_width
    builder.whole("tok_embeddings.weight", "embedding.weight", (vocab_size, hidden))
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}.", f"layers.{layer}."
        builder.whole(f"{theirs}attention_norm.weight", f"{ours}attention_norm.weight", (hidden,))
        names = (f"{theirs}attention.wq.weight", f"{theirs}attention.wk.weight", f"{theirs}attention.wv.weight")
        builder.attention(names, f"{ours}attention.qkv.weight", "interleaved")
        builder.whole(f"{theirs}attention.wo.weight", f"{ours}attention.out.weight", (hidden, width))
        builder.whole(f"{theirs}ffn_norm.weight", f"{ours}moe_norm.weight", (hidden,))
        _mistral_experts(builder, f"{ours}moe.", theirs, stacked=stacked, router=router)
    builder.whole("norm.weight", "norm.weight", (hidden,))
    if not config.tie_embeddings:
        builder.whole("output.weight", "output.weight", (vocab_size, hidden))
    return builder.done()


def _mistral_experts(builder: Builder, ours: str, theirs: str, *, stacked: bool, router: bool) -> None:
    config = builder.config
    moe = theirs + ("block_sparse_moe." if stacked else "feed_forward.")
    if router:
        builder.whole(f"{moe}gate.weight", f"{ours}gate.weight", (config.num_experts, config.hidden_size))
    if not stacked:
        expert = moe + ("experts.{e}." if router else "")
        builder.experts((f"{expert}w1.weight", f"{expert}w2.weight", f"{expert}w3.weight"), ours)
        return
    shape = (config.num_experts * config.ffn_size, config.hidden_size)
    builder.stacked(f"{moe}w1", f"{ours}w13", 0, shape)
    builder.stacked(f"{moe}w2", f"{ours}w2", 0, shape, "transposed")
    builder.stacked(f"{moe}w3", f"{ours}w13", config.ffn_size, shape)


def gguf(config: recipe.Model, vocab_size: int) -> Layout:
    """llama.cpp's `llama` architecture: RoPE's pairs side by side, experts stacked, one expert a dense model."""
    builder = Builder(config)
    hidden, width = config.hidden_size, config.num_heads * config.head_width
    builder.whole("token_embd.weight", "embedding.weight", (vocab_size, hidden))
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}.", f"blk.{layer}."
        builder.whole(f"{theirs}attn_norm.weight", f"{ours}attention_norm.weight", (hidden,))
        names = (f"{theirs}attn_q.weight", f"{theirs}attn_k.weight", f"{theirs}attn_v.weight")
        builder.attention(names, f"{ours}attention.qkv.weight", "interleaved")
        builder.whole(f"{theirs}attn_output.weight", f"{ours}attention.out.weight", (hidden, width))
        builder.whole(f"{theirs}ffn_norm.weight", f"{ours}moe_norm.weight", (hidden,))
        _gguf_experts(builder, f"{ours}moe.", theirs)
    builder.whole("output_norm.weight", "norm.weight", (hidden,))
    if not config.tie_embeddings:
        builder.whole("output.weight", "output.weight", (vocab_size, hidden))
    return builder.done()


def _gguf_experts(builder: Builder, ours: str, theirs: str) -> None:
    config = builder.config
    experts, inner, hidden = config.num_experts, config.ffn_size, config.hidden_size
    if experts == 1:
        names = (f"{theirs}ffn_gate.weight", f"{theirs}ffn_down.weight", f"{theirs}ffn_up.weight")
        builder.experts(names, ours)
        return
    builder.whole(f"{theirs}ffn_gate_inp.weight", f"{ours}gate.weight", (experts, hidden))
    builder.stacked(f"{theirs}ffn_gate_exps.weight", f"{ours}w13", 0, (experts, inner, hidden))
    builder.stacked(f"{theirs}ffn_down_exps.weight", f"{ours}w2", 0, (experts, hidden, inner))
    builder.stacked(f"{theirs}ffn_up_exps.weight", f"{ours}w13", inner, (experts, inner, hidden))
