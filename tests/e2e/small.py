"""A small recipe over real text, the Python installation's own, and the command that runs it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

RECIPE = """
name = "journey"
work = "{work}"

[[sources]]
name = "code"
paths = ["{{stdlib}}/email/*.py", "{{stdlib}}/json/*.py", "{{stdlib}}/[a-g]*.py"]
format = "code"
licence = "PSF-2.0"
language = "python"

[[sources]]
name = "docs"
paths = ["{{stdlib}}/pydoc_data/topics.py", "{{stdlib}}/[a-s]*.py"]
format = "docstrings"
licence = "PSF-2.0"
language = "en"

[[sources]]
name = "readmes"
paths = ["{{site_packages}}/*.dist-info/METADATA"]
format = "markdown"
licence = "various"
language = "en"

[curate]
validation_fraction = 0.1
shard_bytes = 500_000

[tokenize]
vocab_size = 512

[mix]
target = {{ docs = 0.7, code = 0.3 }}
num_proxies = 8
repeats = 1
price_budgets = [0.5, 2.0]
validation_tokens = 4096
training = {{ tokens = 16_384, batch_sequences = 8, sequence_length = 64, optim = {{ learning_rate = 1e-2 }} }}

[mix.proxy]
hidden_size = 32
num_layers = 1
num_heads = 2
num_kv_heads = 1
ffn_size = 32
num_experts = 2
context_length = 64

[model]
hidden_size = 64
num_layers = 2
num_heads = 4
num_kv_heads = 2
ffn_size = 64
num_experts = 4
context_length = 128

[train]
tokens = 100_000
batch_sequences = 8
sequence_length = 128
checkpoint_minutes = 0.02
validate_every_steps = 20
optim = {{ learning_rate = 5e-3 }}

[evaluate]
documents_per_source = 20
sample_tokens = 16

[release]
model_name = "journey-model"
"""


@dataclass(frozen=True)
class Journey:
    recipe: Path
    folder: Path
    stdout: str
    stderr: str


def write_recipe(folder: Path) -> Path:
    path = folder / "journey.toml"
    path.write_text(RECIPE.format(work=folder / "work"), encoding="utf-8")
    return path


def orfevre(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orfevre.cli", *map(str, arguments)], capture_output=True, text=True, check=False
    )
