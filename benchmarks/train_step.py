"""Training steps: our Transformer beside every setting of transformers' MixtralForCausalLM, and beside the processor.

Each round does one of our steps (`loop.train`, as every run uses it) and then one of the peer's on the same random
batch, so that what is compared is measured within seconds; the first rounds warm up and are thrown away. The peak of a
matrix product (2048 x 2048) is measured between rounds. Both clip to the same norm and step AdamW by our schedule.
Their losses differ in two small things: ours balances experts layer by layer, the peer over all layers pooled, and ours
adds the router's z-loss. What they reach after 200 steps: `python -m benchmarks train_curves`.

Our loop sets the allocator of its process (engine/allocator.py), so in these rounds the peer has that advantage too.
Child processes, one for each side, then tell the peak of memory, and the peer's speed without that setting.
"""

import argparse
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.paired import ratio
from orfevre import recipe
from orfevre.engine import allocator, build, loop
from orfevre.ledger import usable_cores
from orfevre.model import count

RECIPE = Path(__file__).parent.parent / "recipes" / "quickstart.toml"
PEER = "transformers"
WARM_UP = 2
"""Rounds thrown away: the first calls allocate and compile."""
ALLOCATION_STEPS = 4
"""Steps of a child process; the first two warm up."""


@dataclass(frozen=True)
class Setting:
    name: str
    shape: recipe.Model
    vocab_size: int
    batch_sequences: int
    sequence_length: int
    threads: int
    rounds: int
    seconds: float
    """Fewer rounds (but 3) are measured when they would take longer than this."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16")

    @property
    def tokens(self) -> int:
        """In one step."""
        return self.batch_sequences * self.sequence_length

    @property
    def flops(self) -> float:
        """Of one step, as `model.count` counts them."""
        return self.tokens * count.flops_per_token(self.shape, self.vocab_size, self.sequence_length)

    def training(self, steps: int, dtype: str) -> recipe.Train:
        return recipe.Train(
            tokens=steps * self.tokens,
            batch_sequences=self.batch_sequences,
            sequence_length=self.sequence_length,
            dtype=dtype,  # type: ignore[arg-type]
            document_mask=False,
        )

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        """Random token ids `[batch_sequences, sequence_length + 1]`; the loop's loader."""
        size = (self.batch_sequences, self.sequence_length + 1)
        return np.random.default_rng(step).integers(0, self.vocab_size, size)


@dataclass
class Rounds:
    """Seconds of every step, side by side, and of the products measured between."""

    ours: list[float] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=dict)
    peaks: list[float] = field(default_factory=list)
    """FLOP/s of a large product, one a round."""


def settings() -> dict[str, Setting]:
    """The quickstart's proxy on one thread (proxies train side by side), its model, and two larger ones."""
    quickstart, cores = recipe.load(RECIPE), usable_cores()
    proxy, model, vocab_size = quickstart.mix.training, quickstart.train, quickstart.tokenize.vocab_size
    small = recipe.Model(hidden_size=256, num_layers=6, num_experts=8, ffn_size=896, context_length=512)
    medium = recipe.Model(hidden_size=512, num_layers=8, num_experts=8, ffn_size=1792, context_length=512)
    return {
        "proxy": Setting(
            "the quickstart's proxy", quickstart.mix.proxy, vocab_size,
            proxy.batch_sequences, proxy.sequence_length, threads=1, rounds=60, seconds=20, dtypes=("float32",),
        ),
        "model": Setting(
            "the quickstart's model", quickstart.model, vocab_size,
            model.batch_sequences, model.sequence_length, threads=cores, rounds=20, seconds=40,
        ),
        "S": Setting("shape S", small, 8192, 8, 512, threads=cores, rounds=8, seconds=80),
        "M": Setting("shape M", medium, 32768, 4, 512, threads=cores, rounds=4, seconds=150),
    }  # fmt: skip


def smallest() -> dict[str, Setting]:
    shape = recipe.Model(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, ffn_size=16, num_experts=2)
    return {"tiny": Setting("a tiny model", shape, 64, 2, 8, threads=1, rounds=3, seconds=5, dtypes=("float32",))}


def run(_data: Path | None = None, *, small: bool = False) -> int:
    """Every setting; 2 where transformers is missing."""
    if importlib.util.find_spec(PEER) is None:
        print("train_step compares with transformers, which is not installed: pip install -e '.[dev]'", file=sys.stderr)
        return 2
    threads = torch.get_num_threads()
    try:
        for key, setting in (smallest() if small else settings()).items():
            for dtype in setting.dtypes:
                compare(setting, dtype, compiled=key in "SM")
            if not small:
                processes(key, setting)
    finally:
        torch.set_num_threads(threads)
    return 0


def compare(setting: Setting, dtype: str, *, compiled: bool = False) -> None:
    """One precision of ours beside the settings of the peer that may stand for it."""
    from benchmarks.peer import EXPERTS, Peer

    torch.set_num_threads(setting.threads)
    torch._dynamo.reset()
    precisions = ("float32",) if dtype == "float32" else ("autocast", "bfloat16", *(("compiled",) if compiled else ()))
    # eager does not compile whole: it loops over the experts that were hit
    sides = [(each, experts) for each in precisions for experts in (EXPERTS if each != "compiled" else EXPERTS[:1])]
    for precision, experts in sides:  # one at a time: five models of shape M would not fit a small machine
        ours = build.build(setting.shape, setting.vocab_size, seed=1)
        peer = Peer(setting.shape, setting.vocab_size, precision, experts)
        total = sum(each.numel() for each in peer.model.parameters())
        assert total == count.parameters(setting.shape, setting.vocab_size).total
        warm = measure(setting, dtype, ours, [peer], WARM_UP)
        spent = warm.ours[-1] + warm.peers[peer.name][-1]
        rounds = max(3, min(setting.rounds, int(setting.seconds / len(sides) / spent)))
        _print(setting, dtype, measure(setting, dtype, ours, [peer], rounds))
        del peer, ours


def measure(setting: Setting, dtype: str, model: Any, peers: list[Any], rounds: int) -> Rounds:
    """Wall seconds of each of our steps and of the peers' steps that follow it."""
    training, found, until = setting.training(rounds, dtype), Rounds(), [0.0]

    def follow(report: loop.StepReport) -> None:
        until.append(report.seconds)
        batch = setting.batch(report.step - 1)
        for peer in peers:
            started = time.perf_counter()
            peer.step(batch, report.step - 1, training)
            found.peers.setdefault(peer.name, []).append(time.perf_counter() - started)
        found.peaks.append(product_peak(dtype))

    loop.train(model, setting, training, on_step=follow)
    found.ours = np.diff(until).tolist()
    return found


def product_peak(dtype: str, size: int = 2048, times: int = 4) -> float:
    """FLOP/s of the fastest of a few products of size x size matrices."""
    left, right = (torch.randn(size, size).to(getattr(torch, dtype)) for _ in range(2))
    out, best = torch.empty_like(left), float("inf")
    for _ in range(times):
        started = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _print(setting: Setting, dtype: str, found: Rounds) -> None:
    shape, peak = setting.shape, median(found.peaks)
    print(
        f"{setting.name}, {dtype}: hidden {shape.hidden_size}, {shape.num_layers} layers, {shape.num_experts} experts "
        f"of {shape.ffn_size}, vocabulary {setting.vocab_size}, {setting.batch_sequences} x {setting.sequence_length} "
        f"tokens, {setting.threads} thread{'s' if setting.threads > 1 else ''}; a product reaches {peak / 1e9:.0f} "
        f"GFLOP/s in {dtype}"
    )
    for name, seconds in (("orfevre", found.ours), *found.peers.items()):
        rate = setting.flops / median(seconds)
        print(
            f"  {name:38}{setting.tokens / median(seconds):10,.0f} tokens/s {rate / 1e9:7.1f} GFLOP/s "
            f"{100 * rate / peak:5.1f} % of the product's"
        )
    for name, seconds in found.peers.items():
        for line in ratio(found.ours, seconds).lines(name):
            print(f"  {line}", flush=True)


def processes(key: str, setting: Setting) -> None:
    """Peak memory of each side in a process of its own, and speed with and without the allocator's setting."""
    print(f"{setting.name}, each in a process of its own: peak memory above what it held before; median step")
    sides = [("orfevre", dtype, keep) for dtype in setting.dtypes for keep in (True, False)]
    wanted = ("float32",) if setting.dtypes == ("float32",) else ("float32", "autocast", "bfloat16")
    sides += [(PEER, precision, keep) for precision in wanted for keep in (True, False)]
    peaks: dict[tuple[str, str], float] = {}
    for side, precision, keep in sides:
        found = _child(key, side, precision, keep)
        if found is None:
            print(f"  {side} {precision}: the process failed")
            continue
        if keep:
            peaks[side, precision] = found["mib"]
        setting_said = "memory kept" if keep else "glibc's defaults"
        print(
            f"  {side + ' ' + precision:26}{setting_said:18}{found['mib']:8,.0f} MiB{found['seconds']:9.3f} s",
            flush=True,
        )
    for (side, precision), peer in peaks.items():
        ours = peaks.get(("orfevre", "float32" if precision == "float32" else "bfloat16"))
        if side == PEER and ours is not None:
            print(f"  peak memory, orfevre / {PEER} {precision}: {ours / peer:.2f}")


def _child(key: str, side: str, precision: str, keep: bool) -> dict[str, float] | None:
    command = [sys.executable, "-m", "benchmarks.train_step", key, side, precision, *(["--keep"] if keep else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    with contextlib.suppress(ValueError, IndexError):
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
    return None


def _alone(key: str, side: str, precision: str, keep: bool) -> None:
    """What a child does: a few steps of one side; prints its peak and its median step as JSON."""
    setting = settings()[key]
    torch.set_num_threads(setting.threads)
    if keep:
        allocator.keep_memory()
    else:
        allocator.keep_memory = lambda: False  # type: ignore[assignment]
    seconds: list[float] = []
    if side == PEER:
        import transformers.models.mixtral.modeling_mixtral  # noqa: F401 - counted as held before

        from benchmarks.peer import EXPERTS, Peer

        before = _status_mib("VmRSS")
        peer, training = Peer(setting.shape, setting.vocab_size, precision, EXPERTS[0]), setting.training(99, "float32")
        for step in range(ALLOCATION_STEPS):
            started = time.perf_counter()
            peer.step(setting.batch(step), step, training)
            seconds.append(time.perf_counter() - started)
    else:
        before, until = _status_mib("VmRSS"), [0.0]
        model = build.build(setting.shape, setting.vocab_size, seed=1)
        training = setting.training(ALLOCATION_STEPS, precision)
        loop.train(model, setting, training, on_step=lambda report: until.append(report.seconds))
        seconds = np.diff(until).tolist()
    print(json.dumps({"mib": _status_mib("VmHWM") - before, "seconds": median(seconds[2:])}))


def _status_mib(field: str) -> float:
    """VmRSS is what is held now, VmHWM the peak (getrusage's is inherited from the process that started this one)."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One side's steps, alone: what `processes` runs.")
    for name in ("key", "side", "precision"):
        parser.add_argument(name)
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    _alone(asked.key, asked.side, asked.precision, asked.keep)
