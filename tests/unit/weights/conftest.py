"""A tiny Mixtral of transformers', saved as it saves them, and models of ours that Mixtral's format cannot say."""

from pathlib import Path

import pytest
import torch
import transformers

from orfevre.model.transformer import Transformer, initialise
from orfevre.recipe import Model

VOCAB = 300
SHAPE = Model(
    hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, head_size=16, ffn_size=48, num_experts=4,
    context_length=64, rope_theta=5000.0, vocab_size=VOCAB,
)  # fmt: skip


@pytest.fixture(scope="session")
def theirs() -> transformers.MixtralForCausalLM:
    torch.manual_seed(1)
    return transformers.MixtralForCausalLM(_mixtral()).eval()


def _mixtral(**changes: object) -> transformers.MixtralConfig:
    return transformers.MixtralConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0}, initializer_range=0.2,
        router_aux_loss_coef=0.02, **changes,
    )  # fmt: skip


@pytest.fixture(scope="session")
def hf(theirs: transformers.MixtralForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tensor an expert, as published."""
    folder = tmp_path_factory.mktemp("hf") / "tiny"
    theirs.save_pretrained(folder)
    return folder


@pytest.fixture
def ids_BS() -> torch.Tensor:
    return torch.randint(0, VOCAB, (2, 40), generator=torch.Generator().manual_seed(2))


def make(config: Model, vocab_size: int = VOCAB) -> Transformer:
    """A model of ours with drawn weights."""
    model = Transformer(config, vocab_size)
    initialise(model, torch.Generator().manual_seed(3))
    return model.eval()
