"""Parity with transformers at a size where rounding and routing have room to differ. Slow."""

import pytest
import torch

from orfevre import recipe
from orfevre.engine.build import build
from orfevre.model import names


@pytest.mark.slow
@pytest.mark.parametrize("sequence_length", [64, 512])
def test_logits_at_two_hundred_million_parameters(sequence_length: int) -> None:
    transformers = pytest.importorskip("transformers")
    shape = recipe.Model(hidden_size=512, num_layers=8, num_heads=8, num_kv_heads=2, ffn_size=1792, context_length=512)
    model = build(shape, 32_000, seed=1).eval()
    config = transformers.MixtralConfig(
        vocab_size=32_000,
        hidden_size=512,
        intermediate_size=1792,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        sliding_window=None,
    )
    theirs = transformers.MixtralForCausalLM(config).eval()
    published = names.to_hugging_face(model.state_dict(), shape)
    with torch.no_grad():
        for layer, block in enumerate(theirs.model.layers):
            stem = f"model.layers.{layer}.block_sparse_moe"
            ups = [
                torch.cat([published.pop(f"{stem}.experts.{e}.{name}.weight") for name in ("w1", "w3")])
                for e in range(8)
            ]
            block.mlp.experts.gate_up_proj.copy_(torch.stack(ups))
            downs = [published.pop(f"{stem}.experts.{e}.w2.weight") for e in range(8)]
            block.mlp.experts.down_proj.copy_(torch.stack(downs))
            block.mlp.gate.weight.copy_(published.pop(f"{stem}.gate.weight"))
        missing = theirs.load_state_dict(published, strict=False)
        assert missing.unexpected_keys == []
        ids = torch.randint(32_000, (2, sequence_length), generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(model(ids), theirs(input_ids=ids).logits, atol=1e-4, rtol=1e-4)
