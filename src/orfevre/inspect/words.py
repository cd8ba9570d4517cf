"""A model's configuration in plain words."""

from orfevre import recipe
from orfevre.model import count


def configuration(config: recipe.Model, vocab_size: int) -> list[str]:
    """One sentence for each thing a reader may want to know, options that are off left out."""
    counted = count.parameters(config, vocab_size)
    lines = [
        f"{counted.total:,} parameters, of which a token meets {counted.active:,} "
        f"({100 * counted.active / counted.total:.0f} %).",
        f"A decoder of {_count(config.num_layers, 'layer')} on a stream of {config.hidden_size} numbers a token.",
        _experts(config),
        _attention(config),
        f"It sees at most {config.context_length:,} tokens; positions are turned in (RoPE, base "
        f"{config.rope_theta:,.0f}).",
        f"A vocabulary of {vocab_size:,} tokens; input embedding and output projection are "
        f"{'one matrix' if config.tie_embeddings else 'two matrices'}.",
    ]
    if config.mtp_depth:
        lines.append(
            f"While training, {_count(config.mtp_depth, 'block')} predicted further ahead; inference drops them."
        )
    return lines


def _experts(config: recipe.Model) -> str:
    if config.num_experts == 1:
        return (
            f"Dense: every token passes through the same feed-forward network, {config.ffn_size} numbers wide inside."
        )
    line = (
        f"In each layer {config.num_experts} experts, {config.ffn_size} numbers wide inside; a router (scores by "
        f"{config.router}) sends a token to {config.experts_per_token} of them"
    )
    if config.shared_experts:
        line += f", and every token passes through {_count(config.shared_experts, 'shared expert')} besides"
    kept = "a loss" if config.balancing == "loss" else "a bias on each expert's score"
    return f"{line}. The load was kept even by {kept}."


def _attention(config: recipe.Model) -> str:
    shared = config.num_heads // config.num_kv_heads
    line = f"Attention with {_count(config.num_heads, 'query head')} of {config.head_width} numbers"
    if shared > 1:
        line += f"; {shared} of them share one key and value head ({config.num_kv_heads} in all)"
    if config.sliding_window:
        line += f"; a token looks back over {config.sliding_window:,} positions, its own included"
    if config.qk_norm:
        line += "; queries and keys are normalised"
    return line + "."


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
