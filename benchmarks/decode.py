"""Tokens a second while writing and while reading a prompt: NativeDecoder beside transformers and llama.cpp.

All hold the same random weights: 791 M parameters, 230 M of them read for a token. They take turns, so that a pair is
measured within seconds; 64 tokens are in the cache of each sequence when steps begin. transformers runs in bfloat16,
with the faster of its implementations of experts, plain: its static cache under torch.compile is not measured.
llama.cpp runs from GGUF files written here, in this process's Python or in `--llama-python`.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.paired import ratio
from orfevre import recipe
from orfevre.inference.held import Held, Precision, hold
from orfevre.inference.native import NativeDecoder
from orfevre.ledger import usable_cores
from orfevre.model.transformer import Transformer, initialise
from orfevre.weights.state import to_hugging_face

SHAPE = recipe.Model(
    hidden_size=1024, num_layers=8, num_heads=16, num_kv_heads=4, ffn_size=3584, num_experts=8, experts_per_token=2,
    context_length=1024, vocab_size=32000,
)  # fmt: skip
SMALL = recipe.Model(
    hidden_size=64, num_layers=1, num_heads=2, num_kv_heads=1, ffn_size=64, num_experts=4, context_length=640,
    vocab_size=64,
)  # fmt: skip
TYPES: dict[Precision, str] = {"bfloat16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}
PAST, PROMPT, SLOTS = 64, 512, 8
Ask = Callable[[dict[str, int]], list[float]]
"""{"prompt": n} or {"batch": n, "steps": n} to seconds."""


def run(_data: Path | None = None, *, small: bool = False, llama_python: str = "", only: str = "") -> int:
    shape, rounds, steps = (SMALL, 2, 2) if small else (SHAPE, 5, 12)
    with torch.inference_mode():
        model = Transformer(shape, shape.vocab_size)
        initialise(model, torch.Generator().manual_seed(1))
        model = model.to(torch.bfloat16)
    limit = 0.0 if small else bandwidth()
    if limit:
        print(f"memory, read in one stream a core: {limit:.1f} GB/s")
    python = llama_python or (sys.executable if importlib.util.find_spec("llama_cpp") else "")
    if not python or not importlib.util.find_spec("gguf"):
        print("llama.cpp: skipped, it needs llama-cpp-python here or by --llama-python, and gguf: extra llama")
    for precision in [each for each in TYPES if only in ("", each)]:
        compare(model, precision, (rounds, steps), python if importlib.util.find_spec("gguf") else "", limit)
    return 0


def compare(model: Transformer, precision: Precision, size: tuple[int, int], python: str, limit: float) -> None:
    rounds, steps = size
    held = hold(model, precision)
    contenders: dict[str, Ask] = {"orfevre": ours(held)}
    if precision == "bfloat16" and importlib.util.find_spec("transformers"):
        contenders["transformers"] = transformers(model)
    with tempfile.TemporaryDirectory() as folder:
        if python:
            path = Path(folder) / "model.gguf"
            write_gguf(model, path, TYPES[precision])
            contenders["llama.cpp"] = llama(python, path)
        for asked in ({"batch": 1, "steps": steps}, {"batch": SLOTS, "steps": steps}, {"prompt": PROMPT}):
            report(held, asked, measure(contenders, asked, rounds), limit)


def measure(contenders: dict[str, Ask], asked: dict[str, int], rounds: int) -> dict[str, list[float]]:
    """Median seconds of each round, after one round that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds + 1):
        for name, ask in contenders.items():
            found = median(ask(asked))
            if index:
                seconds[name].append(found)
    return seconds


def report(held: Held, asked: dict[str, int], seconds: dict[str, list[float]], limit: float) -> None:
    tokens = asked.get("prompt") or asked["batch"]
    words = f"prompt of {tokens}" if "prompt" in asked else f"batch {tokens}"
    for name, found in seconds.items():
        kind = TYPES[held.precision] if name == "llama.cpp" else held.precision if name == "orfevre" else "bfloat16"
        line = f"  {words:16}{name:14}{kind:10}{tokens / median(found):8.1f} tokens/s"
        line += f" ({tokens / max(found):.1f} to {tokens / min(found):.1f})"
        if name == "orfevre" and limit and asked.get("batch") == 1:
            rate = held.bytes_per_step(held.config.experts_per_token) / median(found) / 1e9
            line += f", {rate:.1f} GB/s of weights: {rate / limit:.0%} of the memory's"
        print(line)
    for name in seconds.keys() - {"orfevre"}:
        for line in ratio(seconds["orfevre"], seconds[name]).lines(name):
            print(f"    {line}", flush=True)


def ours(held: Held) -> Ask:
    decoder = NativeDecoder(held, SLOTS, num_threads=usable_cores())
    vocabulary = held.vocab_size

    def ask(asked: dict[str, int]) -> list[float]:
        for slot in range(SLOTS):
            decoder.truncate(slot, 0)
        if "prompt" in asked:
            return [timed(lambda: decoder.prefill(0, [i * 7919 % vocabulary for i in range(asked["prompt"])]))]
        slots = list(range(asked["batch"]))
        for slot in slots:
            decoder.prefill(slot, [(i + slot) * 7919 % vocabulary for i in range(PAST)])
        ids = [[(n * len(slots) + s) * 104729 % vocabulary for s in slots] for n in range(asked["steps"])]
        return [timed(lambda row=row: decoder.step(slots, row)) for row in ids]  # type: ignore[misc]

    return ask


def transformers(model: Transformer) -> Ask:
    """The faster of its ways with experts, by one trial each."""
    trials = []
    for experts in ("batched_mm", "grouped_mm", "eager"):
        ask = _transformers(model, experts)
        ask({"batch": 1, "steps": 1})
        trials.append((median(ask({"batch": 1, "steps": 3})), experts))
    fastest = min(trials)[1]
    # batched_mm copies an expert's weights for each token: a step is its best, a prompt would take gigabytes
    step, prompt = _transformers(model, fastest), _transformers(model, "grouped_mm")
    print(f"transformers takes steps with experts_implementation={fastest}, prompts with grouped_mm")
    return lambda asked: prompt(asked) if "prompt" in asked or asked["batch"] > 1 else step(asked)


def _transformers(model: Transformer, experts: str) -> Ask:
    from transformers import MixtralConfig, MixtralForCausalLM

    shape = model.config
    with torch.device("meta"):
        peer = MixtralForCausalLM(
            MixtralConfig(
                vocab_size=shape.vocab_size, hidden_size=shape.hidden_size, intermediate_size=shape.ffn_size,
                num_hidden_layers=shape.num_layers, num_attention_heads=shape.num_heads,
                num_key_value_heads=shape.num_kv_heads, head_dim=shape.head_width, num_local_experts=shape.num_experts,
                num_experts_per_tok=shape.experts_per_token, max_position_embeddings=shape.context_length,
                experts_implementation=experts, dtype=torch.bfloat16,
            )
        )  # fmt: skip
    peer = peer.to(torch.bfloat16).to_empty(device="cpu").eval()
    theirs, ours_by_name = dict(peer.named_parameters()), to_hugging_face(model.state_dict(), shape)
    peer.model.rotary_emb = type(peer.model.rotary_emb)(peer.config)
    for name, parameter in theirs.items():
        # equal sums of squares matter to no clock; experts are fused there and keep our stacked order
        source = _fused(model, name)
        parameter.data = source if source is not None else ours_by_name[name.replace(".mlp.", ".block_sparse_moe.")]

    def ask(asked: dict[str, int]) -> list[float]:
        size = asked.get("batch", 1)
        ids = torch.arange(size * asked.get("prompt", PAST)).view(size, -1) * 7919 % shape.vocab_size
        with torch.inference_mode():
            if "prompt" in asked:
                return [timed(lambda: peer(ids, logits_to_keep=1))]
            cache: Any = peer(ids, use_cache=True, logits_to_keep=1).past_key_values
            rows = [(torch.arange(size)[:, None] + n * size) * 104729 % shape.vocab_size for n in range(asked["steps"])]
            return [timed(lambda row=row: peer(row, past_key_values=cache, use_cache=True)) for row in rows]  # type: ignore[misc]

    return ask


def _fused(model: Transformer, name: str) -> torch.Tensor | None:
    """Our stacked experts, where transformers asks for its own."""
    parts = name.split(".")
    if parts[-1] not in ("gate_up_proj", "down_proj"):
        return None
    moe = model.blocks[int(parts[2])].moe
    return (moe.w13 if parts[-1] == "gate_up_proj" else moe.w2).data


def llama(python: str, path: Path) -> Ask:
    """A child that answers by llama.cpp."""
    command = [python, str(Path(__file__).with_name("llama_child.py")), str(path), str(usable_cores())]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    stdin, stdout = child.stdin, child.stdout

    def ask(asked: dict[str, int]) -> list[float]:
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"llama.cpp ended with code {child.wait()}: {' '.join(command)}")
        return list(json.loads(answer))

    return ask


def write_gguf(model: Transformer, path: Path, kind: str) -> None:
    """Weights only, no tokenizer; the output projection in the file's own type too, as ours."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    shape, writer = model.config, GGUFWriter(path, "llama")
    for key, value in {
        "context_length": shape.context_length, "embedding_length": shape.hidden_size, "block_count": shape.num_layers,
        "feed_forward_length": shape.ffn_size, "head_count": shape.num_heads, "head_count_kv": shape.num_kv_heads,
        "rope_dimension_count": shape.head_width, "expert_count": shape.num_experts,
        "expert_used_count": shape.experts_per_token, "vocab_size": shape.vocab_size,
    }.items():  # fmt: skip
        getattr(writer, f"add_{key}")(value)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_tokenizer_model("no_vocab")
    for name, tensor in _llama_tensors(model).items():
        small = tensor.ndim == 1 or name.endswith("ffn_gate_inp.weight")
        wanted = GGMLQuantizationType["F32" if small else kind]
        writer.add_tensor(name, quants.quantize(tensor.float().numpy(), wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _llama_tensors(model: Transformer) -> dict[str, torch.Tensor]:
    shape, state = model.config, {name: tensor.detach() for name, tensor in model.state_dict().items()}
    found = {
        "token_embd.weight": state["embedding.weight"], "output_norm.weight": state["norm.weight"],
        "output.weight": state["output.weight"],
    }  # fmt: skip
    heads, keys, width = shape.num_heads, shape.num_kv_heads, shape.head_width
    for layer in range(shape.num_layers):
        ours_at, theirs = f"blocks.{layer}.", f"blk.{layer}."
        q, k, v = state[f"{ours_at}attention.qkv.weight"].split([heads * width, keys * width, keys * width])
        w1, w3 = state[f"{ours_at}moe.w13"].chunk(2, dim=1)
        parts = {
            "attn_norm": state[f"{ours_at}attention_norm.weight"], "ffn_norm": state[f"{ours_at}moe_norm.weight"],
            "attn_q": _interleaved(q, heads), "attn_k": _interleaved(k, keys), "attn_v": v,
            "attn_output": state[f"{ours_at}attention.out.weight"], "ffn_gate_inp": state[f"{ours_at}moe.gate.weight"],
            "ffn_gate_exps": w1, "ffn_up_exps": w3, "ffn_down_exps": state[f"{ours_at}moe.w2"],
        }  # fmt: skip
        found |= {f"{theirs}{name}.weight": part.contiguous() for name, part in parts.items()}
    return found


def _interleaved(w: torch.Tensor, heads: int) -> torch.Tensor:
    """RoPE in llama.cpp turns neighbours; ours turns i and i + D/2."""
    return w.view(heads, 2, -1, w.shape[1]).transpose(1, 2).reshape(w.shape)


def bandwidth() -> float:
    """GB/s of the best of several products of one vector with 512 MB of bfloat16, on all cores."""
    from orfevre.inference.memory import Arena
    from orfevre.inference.products import kernel_product
    from orfevre.kernels import decode
    from orfevre.kernels.pool import pool

    if not decode.levels():
        return 0.0
    weights = Arena().empty((65536, 4096), torch.bfloat16).zero_()
    x, level = torch.zeros(1, 4096), len(decode.levels()) - 1
    return (
        max(weights.nbytes / timed(lambda: kernel_product(x, weights, pool(usable_cores()), level)) for _ in range(8))
        / 1e9
    )


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> int:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-python", default="", help="a Python that has llama-cpp-python")
    parser.add_argument("--only", default="", choices=list(TYPES), help="one precision")
    parser.add_argument("--small", action="store_true", help="a tiny model: that it runs, not how fast")
    asked = parser.parse_args(arguments)
    return run(small=asked.small, llama_python=asked.llama_python, only=asked.only)


if __name__ == "__main__":
    sys.exit(main())
