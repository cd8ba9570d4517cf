"""Do the faster steps learn as much? 200 steps from the same weights on the same real text, ours and transformers'.

The weights of both start equal, and so do batches, schedule, clipping and AdamW. The router's losses are off, since the
two differ in them. What is compared is the mean cross entropy of the last steps.
"""

import sys
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt

from orfevre import recipe
from orfevre.data import shards
from orfevre.engine import build, loop
from orfevre.model.transformer import Transformer
from orfevre.weights.state import to_hugging_face

WORK = Path(__file__).parent.parent / "work" / "quickstart" / "tokenize"
STEPS, LAST = 200, 20
BATCH, LENGTH = 8, 256
OPTIM = recipe.Optim(learning_rate=2e-3)


class Text:
    """Random windows of one source's training tokens, the same for the same step."""

    def __init__(self, folder: Path) -> None:
        index = shards.read_index(folder)
        name = max(index.sources, key=lambda source: index.sources[source].train.tokens)
        self.vocab_size = index.vocab_size
        self.tokens = shards.open_shard(folder, name, "train").tokens

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        starts = np.random.default_rng(step).integers(0, len(self.tokens) - LENGTH - 1, BATCH)
        return np.stack([self.tokens[start : start + LENGTH + 1] for start in starts]).astype(np.int64)


def run(data: Path | None) -> int:
    """`data`: the tokenize folder of a run; work/quickstart's by default."""
    folder = data or WORK
    if not (folder / "index.json").is_file():
        print(
            f"train_curves: skipped, {folder} has no index.json: run the quickstart first, or give --data",
            file=sys.stderr,
        )
        return 0
    text = Text(folder)
    shape = recipe.Model(
        hidden_size=128, num_layers=4, num_heads=4, num_kv_heads=2, ffn_size=256, context_length=LENGTH,
        aux_loss_weight=0, z_loss_weight=0,
    )  # fmt: skip
    found = {}
    for dtype in ("float32", "bfloat16"):
        found[f"orfevre {dtype}"] = _ours(shape, text, dtype)
    for precision in ("float32", "autocast", "bfloat16"):
        found[f"transformers {precision}"] = _peer(shape, text, precision)
    reference = mean(found["transformers float32"][-LAST:])
    print(f"cross entropy, mean of the last {LAST} of {STEPS} steps of {BATCH} x {LENGTH} tokens, nats; first step")
    for name, curve in found.items():
        last = mean(curve[-LAST:])
        print(f"  {name:24}{last:8.4f} ({100 * (last / reference - 1):+.2f} % of transformers float32); {curve[0]:.4f}")
    return 0


def _training(dtype: str) -> recipe.Train:
    return recipe.Train(
        tokens=STEPS * BATCH * LENGTH,
        batch_sequences=BATCH,
        sequence_length=LENGTH,
        optim=OPTIM,
        dtype=dtype,  # type: ignore[arg-type]
        document_mask=False,
    )


def _start(shape: recipe.Model, text: Text) -> Transformer:
    return build.build(shape, text.vocab_size, seed=1)


def _ours(shape: recipe.Model, text: Text, dtype: str) -> list[float]:
    curve: list[float] = []
    loop.train(_start(shape, text), text, _training(dtype), on_step=lambda report: curve.append(report.loss))
    return curve


def _peer(shape: recipe.Model, text: Text, precision: str) -> list[float]:
    from benchmarks.peer import Peer

    model = _start(shape, text)
    state = to_hugging_face(model.state_dict(), model.config)
    for layer in range(shape.num_layers):  # transformers 5 holds a layer's experts in two tensors
        block = model.blocks[layer].moe
        experts = f"model.layers.{layer}.mlp.experts."
        state |= {experts + "gate_up_proj": block.w13.detach(), experts + "down_proj": block.w2.detach()}
        state[f"model.layers.{layer}.mlp.gate.weight"] = block.gate.weight.detach()
    peer = Peer(shape, text.vocab_size, precision, "grouped_mm", state)
    # as ours: no decay on norms and on the embedding
    spared = [each for name, each in peer.model.named_parameters() if each.ndim == 1 or "embed_tokens" in name]
    rest = [each for each in peer.model.parameters() if all(each is not other for other in spared)]
    peer.optimiser.param_groups[0]["params"] = rest
    peer.optimiser.add_param_group({"params": spared, "weight_decay": 0.0})
    training = _training("float32")
    return [peer.step(text.batch(step), step, training) for step in range(STEPS)]
