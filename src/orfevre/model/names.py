"""Parameter names: ours, stacked for speed, to and from those of Hugging Face's MixtralForCausalLM safetensors.

Options that MixtralForCausalLM lacks are refused by the recipe key. Names they add to a block:
    attention.q_norm.weight, attention.k_norm.weight    [D]            qk_norm
    moe.shared_w13, moe.shared_w2                       [2nF, H], [H, nF]   shared_experts: w1 of all n, then w3 of all
    moe.balance_bias                                    [E]            balancing = "bias" (a buffer)
and to the model: mtp.<d>.{hidden_norm,embedding_norm,norm}.weight [H], mtp.<d>.project.weight [H, 2H] and
mtp.<d>.block.<as above> (mtp_depth), which inference does not need.
"""

import re
from collections.abc import Mapping

import torch

from orfevre import recipe
from orfevre.errors import UserError

_WHOLE = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_BLOCK = {
    "attention_norm.weight": "input_layernorm.weight",
    "moe_norm.weight": "post_attention_layernorm.weight",
    "attention.out.weight": "self_attn.o_proj.weight",
    "moe.gate.weight": "block_sparse_moe.gate.weight",
}


def check_mixtral(config: recipe.Model) -> None:
    """Raises UserError when MixtralForCausalLM cannot say this model (`recipe.Model.beyond_mixtral`)."""
    if beyond := config.beyond_mixtral:
        raise UserError(
            f"{beyond[0]}: the layout of MixtralForCausalLM has no place for it"
            + (f", nor for {', '.join(beyond[1:])}" if beyond[1:] else "")
            + "; train without it to publish in this layout"
        )


def to_hugging_face(state: Mapping[str, torch.Tensor], config: recipe.Model) -> dict[str, torch.Tensor]:
    """Our state dict under Mixtral's names, one tensor an expert. Tied embeddings leave lm_head out, as there.

    Raises UserError for a model that Mixtral's layout cannot say, see `check_mixtral`.
    """
    check_mixtral(config)
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("mtp."):
            continue
        if name in _WHOLE:
            if name != "output.weight" or not config.tie_embeddings:
                renamed[_WHOLE[name]] = tensor
            continue
        found = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        if found is None:
            raise ValueError(f"{name} is not a parameter of a Transformer")
        for part, piece in _split(found[2], tensor, config):
            renamed[f"model.layers.{found[1]}.{part}"] = piece.contiguous()
    return renamed


def from_hugging_face(state: Mapping[str, torch.Tensor], config: recipe.Model) -> dict[str, torch.Tensor]:
    """The inverse of `to_hugging_face`, for a shape without mtp_depth. Raises KeyError for a missing name, ValueError
    for one left over, UserError as there."""
    check_mixtral(config)
    left = dict(state)
    ours = {name: left.pop(theirs) for name, theirs in _WHOLE.items() if name != "output.weight"}
    if config.tie_embeddings:
        left.pop("lm_head.weight", None)
        ours["output.weight"] = ours["embedding.weight"]
    else:
        ours["output.weight"] = left.pop("lm_head.weight")
    for layer in range(config.num_layers):
        here, there = f"blocks.{layer}.", f"model.layers.{layer}."
        for name, theirs in _IN_BLOCK.items():
            ours[here + name] = left.pop(there + theirs)
        ours[here + "attention.qkv.weight"] = torch.cat(
            [left.pop(f"{there}self_attn.{part}_proj.weight") for part in "qkv"]
        )
        experts = f"{there}block_sparse_moe.experts."
        w1, w2, w3 = (
            torch.stack([left.pop(f"{experts}{e}.{part}.weight") for e in range(config.num_experts)])
            for part in ("w1", "w2", "w3")
        )
        ours[here + "moe.w13"], ours[here + "moe.w2"] = torch.cat((w1, w3), dim=1), w2
    if left:
        raise ValueError(f"{sorted(left)[0]} is not a parameter of this model ({len(left)} such names)")
    return ours


def _split(name: str, tensor: torch.Tensor, config: recipe.Model) -> list[tuple[str, torch.Tensor]]:
    if name == "attention.qkv.weight":
        width, queries, keys = config.head_width, config.num_heads, config.num_kv_heads
        pieces = torch.split(tensor, [queries * width, keys * width, keys * width])
        return [(f"self_attn.{part}_proj.weight", piece) for part, piece in zip("qkv", pieces, strict=True)]
    if name == "moe.w13":
        return [
            (f"block_sparse_moe.experts.{e}.{part}.weight", piece)
            for e, expert in enumerate(tensor)
            for part, piece in zip(("w1", "w3"), expert.chunk(2), strict=True)
        ]
    if name == "moe.w2":
        return [(f"block_sparse_moe.experts.{e}.w2.weight", expert) for e, expert in enumerate(tensor)]
    return [(_IN_BLOCK[name], tensor)]
