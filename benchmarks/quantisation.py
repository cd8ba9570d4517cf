"""What int8 and int4 cost a trained model: bits per byte of held-out documents, token by token through the decoder.

So the loss counts all that decoding rounds: weights, activations, keys and values. `--data` is the work folder of a
finished run (`work/quickstart`).
"""

from pathlib import Path

import numpy as np
import torch

from orfevre.data.shards import Shard, open_shard, read_index
from orfevre.engine.checkpoint import load_trained
from orfevre.inference.held import Held, Precision, hold
from orfevre.inference.native import NativeDecoder

DOCUMENTS = 48
"""At most, of each source: those that fit the context."""
SETTINGS: list[tuple[Precision, int]] = [
    ("bfloat16", 0), ("int8", 0), ("int8", 32), ("int8", 64), ("int8", 128), ("int4", 32), ("int4", 64), ("int4", 128),
]  # fmt: skip


def run(data: Path | None) -> int:
    if data is None or not (data / "train").is_dir():
        print("quantisation: skipped, it needs --data WORK, the work folder of a finished run")
        return 0
    model = load_trained(data / "train")
    context = model.config.context_length
    shards = [open_shard(data / "tokenize", name, "validation") for name in read_index(data / "tokenize").sources]
    texts = [text for shard in shards for text in _documents(shard, context)]
    num_bytes = sum(size for _, size in texts)
    print(f"{len(texts)} documents of {len(shards)} sources, {num_bytes:,} bytes")
    before = 0.0
    for precision, group in [("float32", 0), *SETTINGS]:
        try:
            held = hold(model, precision, group)
        except ValueError as error:
            print(f"  {precision:9} groups of {group:3}  {error}")
            continue
        bits = sum(_bits(held, [ids for ids, _ in texts[i : i + 32]]) for i in range(0, len(texts), 32)) / num_bytes
        before = before or bits
        print(f"  {precision:9} groups of {group:3}  {bits:.4f} bits per byte ({bits / before - 1:+.2%})", flush=True)
    return 0


def _documents(shard: Shard, context: int) -> list[tuple[list[int], int]]:
    """Token ids and UTF-8 bytes."""
    lengths = np.diff(shard.documents)
    chosen = np.flatnonzero((lengths > 1) & (lengths <= context + 1))[:DOCUMENTS]
    found = []
    for index in chosen:
        ids = shard.tokens[shard.documents[index] : shard.documents[index + 1]]
        found.append((ids.astype(np.int64).tolist(), int(shard.num_bytes[index])))
    return found


def _bits(held: Held, texts: list[list[int]]) -> float:
    """Of every token but the first, all texts side by side."""
    decoder, total = NativeDecoder(held, len(texts)), 0.0
    for place in range(max(map(len, texts)) - 1):
        going = [slot for slot, text in enumerate(texts) if place + 1 < len(text)]
        logits = decoder.step(going, [texts[slot][place] for slot in going])
        targets = torch.tensor([texts[slot][place + 1] for slot in going])
        total += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
    return total / float(np.log(2))
