"""Training steps a second: our Transformer beside transformers' MixtralForCausalLM.

Both take the same random batches in float32, clip to the same norm and step torch's fused AdamW with our schedule.
Their losses differ in two small things: ours balances experts layer by layer, the peer over all layers pooled, and ours
adds the router's z-loss. Ours is `loop.train` as every run uses it. After each of our steps the peer does its own, so a
pair is measured within a second or two; the first pairs warm up and are thrown away. The peer runs with the faster of
its CPU implementations of experts by one step each; they are so close that noise may choose, and either will do.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.paired import ratio
from orfevre import recipe
from orfevre.engine import build, loop, optim
from orfevre.ledger import usable_cores
from orfevre.model import count

RECIPE = Path(__file__).parent.parent / "recipes" / "quickstart.toml"
PEER = "transformers"
WARM_UP = 2
"""Pairs thrown away: the first calls allocate and compile."""
EXPERTS = ("grouped_mm", "eager")
"""Those of transformers 5 that fit: `batched_mm` copies an expert's weights for each token, gigabytes here."""


@dataclass(frozen=True)
class Setting:
    name: str
    shape: recipe.Model
    vocab_size: int
    batch_sequences: int
    sequence_length: int
    threads: int
    pairs: int
    seconds: float
    """Fewer pairs (but 3) are measured when they would take longer than this."""

    @property
    def tokens(self) -> int:
        """In one step."""
        return self.batch_sequences * self.sequence_length

    def training(self, steps: int) -> recipe.Training:
        return recipe.Training(
            tokens=steps * self.tokens, batch_sequences=self.batch_sequences, sequence_length=self.sequence_length
        )

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """Random token ids `[batch_sequences, sequence_length + 1]`; the loop's loader."""
        size = (self.batch_sequences, self.sequence_length + 1)
        return np.random.default_rng(step).integers(0, self.vocab_size, size)


def settings() -> list[Setting]:
    """The quickstart's proxy on one thread (proxies train side by side), its model, and a larger one on all cores."""
    quickstart, cores = recipe.load(RECIPE), usable_cores()
    proxy, model, vocab_size = quickstart.mix.training, quickstart.train, quickstart.tokenize.vocab_size
    larger = recipe.Model(hidden_size=256, num_layers=6, num_experts=8, ffn_size=512, vocab_size=8192)
    return [
        Setting(
            "the quickstart's proxy", quickstart.mix.proxy, vocab_size,
            proxy.batch_sequences, proxy.sequence_length, threads=1, pairs=60, seconds=30,
        ),
        Setting(
            "the quickstart's model", quickstart.model, vocab_size,
            model.batch_sequences, model.sequence_length, threads=cores, pairs=20, seconds=60,
        ),
        Setting("a larger model", larger, larger.vocab_size, 8, 256, threads=cores, pairs=15, seconds=60),
    ]  # fmt: skip


def smallest() -> list[Setting]:
    shape = recipe.Model(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, ffn_size=16, num_experts=2)
    return [Setting("a tiny model", shape, 64, batch_sequences=2, sequence_length=8, threads=1, pairs=3, seconds=5)]


def run(_data: Path | None = None, *, small: bool = False) -> int:
    """Every setting; 2 where transformers is missing."""
    if importlib.util.find_spec(PEER) is None:
        print("train_step compares with transformers, which is not installed: pip install -e '.[dev]'", file=sys.stderr)
        return 2
    threads = torch.get_num_threads()
    try:
        for setting in smallest() if small else settings():
            compare(setting)
    finally:
        torch.set_num_threads(threads)
    return 0


def compare(setting: Setting) -> None:
    torch.set_num_threads(setting.threads)
    ours = build.build(setting.shape, setting.vocab_size, seed=1)
    experts, step = _faster(setting)
    seconds, peer_seconds = measure(setting, ours, step, WARM_UP)
    pair = seconds[-1] + peer_seconds[-1]
    pairs = max(3, min(setting.pairs, int(setting.seconds / pair)))
    seconds, peer_seconds = measure(setting, ours, step, pairs)
    shape, flops = setting.shape, count.flops_per_token(setting.shape, setting.vocab_size, setting.sequence_length)
    print(
        f"{setting.name}: hidden {shape.hidden_size}, {shape.num_layers} layers, {shape.num_experts} experts of "
        f"{shape.ffn_size}, vocabulary {setting.vocab_size}, {setting.batch_sequences} x {setting.sequence_length} "
        f"tokens, {setting.threads} thread{'s' if setting.threads > 1 else ''}"
    )
    for name, figures in (("orfevre", seconds), (f"{PEER} ({experts})", peer_seconds)):
        rate = setting.tokens / median(figures)
        print(f"  {name:26}{rate:10,.0f} tokens/s{rate * flops / 1e9:9.1f} GFLOP/s")
    for line in ratio(seconds, peer_seconds).lines(PEER):
        print(f"  {line}", flush=True)


def measure(
    setting: Setting, model: Any, peer_step: Callable[[int, recipe.Training], None], pairs: int
) -> tuple[list[float], list[float]]:
    """Wall seconds of each of our steps and of the peer's step that follows it."""
    training = setting.training(pairs)
    until: list[float] = [0.0]
    peer_seconds: list[float] = []

    def follow(report: loop.StepReport) -> None:
        until.append(report.seconds)
        started = time.perf_counter()
        peer_step(report.step - 1, training)
        peer_seconds.append(time.perf_counter() - started)

    loop.train(model, setting, training, on_step=follow)
    return np.diff(until).tolist(), peer_seconds


def _faster(setting: Setting) -> tuple[str, Callable[[int, recipe.Training], None]]:
    """The peer's implementation of experts with the quicker second step, and its step."""
    trials, training = [], setting.training(WARM_UP)
    for experts in EXPERTS:
        step = _peer(setting, experts)
        step(0, training)
        started = time.perf_counter()
        step(1, training)
        trials.append((time.perf_counter() - started, experts, step))
    return min(trials, key=lambda trial: trial[0])[1:]


def _peer(setting: Setting, experts: str) -> Callable[[int, recipe.Training], None]:
    import transformers

    shape = setting.shape
    model = transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            vocab_size=setting.vocab_size,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.ffn_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_kv_heads,
            head_dim=shape.head_width,
            max_position_embeddings=shape.context_length,
            num_local_experts=shape.num_experts,
            num_experts_per_tok=shape.experts_per_token,
            tie_word_embeddings=shape.tie_embeddings,
            output_router_logits=True,
            router_aux_loss_coef=shape.aux_loss_weight,
            use_cache=False,
            experts_implementation=experts,
        )
    )
    assert sum(each.numel() for each in model.parameters()) == count.parameters(shape, setting.vocab_size).total
    rules = setting.training(1).optim
    optimiser = torch.optim.AdamW(
        model.parameters(), betas=(rules.beta1, rules.beta2), weight_decay=rules.weight_decay, fused=True
    )

    def step(index: int, training: recipe.Training) -> None:
        batch = torch.from_numpy(setting.batch(index))
        targets = batch[:, 1:].contiguous()
        loss = model(input_ids=batch[:, :-1], labels=targets, shift_labels=targets).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.optim.grad_clip)
        for group in optimiser.param_groups:
            group["lr"] = optim.learning_rate(index, training.num_steps, training.optim)
        optimiser.step()

    return step
