"""Proxies side by side: a process for each on one thread, stacks of K in each process, or one stack on every thread.

Each way trains its proxies on random tokens for the same seconds, in turns within a round, and is told by the tokens a
second of all its processes together; ratios are taken round by round. Processes start and warm up before the clock.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.paired import ratio
from orfevre import recipe
from orfevre.ledger import usable_cores

VOCAB = 2048
DOCUMENT = 100
"""Tokens of a document, about."""
MANY_STEPS = 10**6


@dataclass(frozen=True)
class Setting:
    name: str
    shape: recipe.Model
    batch_sequences: int
    sequence_length: int

    @property
    def training(self) -> recipe.Training:
        """More steps than are ever run."""
        tokens = MANY_STEPS * self.batch_sequences * self.sequence_length
        return recipe.Training(
            tokens=tokens, batch_sequences=self.batch_sequences, sequence_length=self.sequence_length
        )


@dataclass(frozen=True)
class Way:
    """So many processes, each training `stack` proxies at once on `threads` threads; a stack of 1 is `loop.train`."""

    processes: int
    threads: int
    stack: int

    def __str__(self) -> str:
        each = "one by one" if self.stack == 1 else f"stacks of {self.stack}"
        return f"{self.processes} x {self.threads} thread{'s' * (self.threads > 1)}, {each}"


@dataclass(frozen=True)
class Batches:
    """Random ids `[B, S + 1]`, with `<s>` (0) here and there; what the loops take for a loader."""

    seed: int
    training: recipe.Training

    def batch(self, step: int) -> npt.NDArray[np.int64]:
        generator = np.random.default_rng([self.seed, step])
        size = (self.training.batch_sequences, self.training.sequence_length + 1)
        ids = generator.integers(1, VOCAB, size)
        return np.where(generator.random(size) < 1 / DOCUMENT, 0, ids)


@dataclass
class Team:
    """The processes of one way, warm and waiting."""

    way: Way
    pipes: list[Connection] = field(default_factory=list)
    processes: list[multiprocessing.process.BaseProcess] = field(default_factory=list)

    def tokens_per_second(self, seconds: float) -> float:
        """Of all its processes together; each stops at the end of the step in which the time is up."""
        for pipe in self.pipes:
            pipe.send(seconds)
        return float(sum(pipe.recv() for pipe in self.pipes))

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join()


def start(setting: Setting, way: Way) -> Team:
    team, context = Team(way), multiprocessing.get_context("spawn")
    os.environ["OMP_NUM_THREADS"] = str(way.threads)
    for number in range(way.processes):
        mine, theirs = context.Pipe()
        process = context.Process(target=_train, args=(setting, way, number, theirs), daemon=True)
        process.start()
        team.pipes.append(mine)
        team.processes.append(process)
    for pipe in team.pipes:
        pipe.recv()  # warm
    return team


class _EnoughError(Exception):
    pass


def _train(setting: Setting, way: Way, number: int, pipe: Connection) -> None:
    """What a process does: train, and after each step look whether its time is up."""
    import torch

    from orfevre.engine import build, loop, stacked

    torch.set_num_threads(way.threads)
    training, clock = setting.training, _Clock(setting, way, pipe)
    seeds = [way.stack * number + index for index in range(way.stack)]
    models = [build.build(setting.shape, VOCAB, seed) for seed in seeds]
    loaders = [Batches(seed, training) for seed in seeds]
    try:
        if way.stack == 1:
            loop.train(models[0], loaders[0], training, bos=0, on_step=lambda _: clock.tick())
        else:
            stacked.train(models, loaders, training, bos=0, on_step=lambda _: clock.tick())
    except _EnoughError:
        pass


class _Clock:
    """Steps between the parent's words: tells it the tokens a second, and waits for the next."""

    def __init__(self, setting: Setting, way: Way, pipe: Connection) -> None:
        self.pipe, self.tokens = pipe, setting.training.tokens_per_step * way.stack
        self.steps, self.started, self.seconds = -2, 0.0, 0.0

    def tick(self) -> None:
        self.steps += 1
        passed = time.perf_counter() - self.started
        if self.steps < 0 or (self.steps > 0 and passed < self.seconds):
            return
        self.pipe.send(self.steps * self.tokens / passed)
        wanted = self.pipe.recv()
        if wanted is None:
            raise _EnoughError
        self.steps, self.started, self.seconds = 0, time.perf_counter(), wanted


def settings() -> list[Setting]:
    shape = recipe.Model(
        hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, ffn_size=128, num_experts=4, context_length=128
    )
    tiny = shape.model_copy(update={"hidden_size": 32, "ffn_size": 64, "context_length": 64})
    large = shape.model_copy(update={"hidden_size": 128, "ffn_size": 256})
    return [
        Setting("tiny", tiny, 4, 64),
        Setting("the quickstart's", shape, 8, 128),
        Setting("large", large, 8, 128),
    ]


def ways() -> list[Way]:
    """The pool, pools of stacks, and, where there are several cores, one process on all of them."""
    cores = usable_cores()
    pools = [Way(cores, 1, stack) for stack in (1, 2, 4, 8, 16)]
    return pools + [Way(1, cores, stack) for stack in (4, 16) if cores > 1]


def run(_data: Path | None = None, *, small: bool = False) -> int:
    if small:
        compare(settings()[0], [Way(1, 1, 1), Way(1, 1, 2)], rounds=2, seconds=0.05)
        return 0
    for setting in settings():
        compare(setting, ways(), rounds=5, seconds=1.0)
    return 0


def compare(setting: Setting, asked: Sequence[Way], rounds: int, seconds: float) -> None:
    """Print the tokens a second of each way and its ratio to the first."""
    shape = setting.shape
    print(
        f"{setting.name}: hidden {shape.hidden_size}, {shape.num_layers} layers, {shape.num_experts} experts of "
        f"{shape.ffn_size}, vocabulary {VOCAB}, {setting.batch_sequences} x {setting.sequence_length} tokens a step",
        flush=True,
    )
    teams = [start(setting, way) for way in asked]
    speeds: dict[str, list[float]] = {str(team.way): [] for team in teams}
    try:
        for turn in range(rounds):
            for team in teams if turn % 2 == 0 else teams[::-1]:
                speeds[str(team.way)].append(team.tokens_per_second(seconds))
    finally:
        for team in teams:
            team.close()
    first = next(iter(speeds.values()))
    for name, found in speeds.items():
        pairs = ratio([1 / speed for speed in found], [1 / speed for speed in first])
        print(
            f"  {name:32}{median(found):10,.0f} tokens/s   {pairs.median:5.2f} of the first "
            f"({min(pairs.pairs):.2f} to {max(pairs.pairs):.2f}, {rounds} rounds)",
            flush=True,
        )


if __name__ == "__main__":
    run()
