"""Runs trained together are runs trained alone: in stacks, over a pool, over Ray, and after kill -9."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre import metrics, recipe
from orfevre.data import shards
from orfevre.errors import RecipeError, UserError
from orfevre.mix import proxies, together
from orfevre.mix.proxies import Bench, Outcome, Row, Run, Task
from orfevre.recipe import Runner

VOCAB, SOURCES = 97, ("prose", "code")
INLINE, POOL = Runner(kind="inline"), Runner(kind="pool", workers=2)
SHAPE = recipe.Model(
    hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, ffn_size=16, num_experts=4, context_length=16
)
TRAINING = recipe.Training(
    tokens=12 * 64, batch_sequences=4, sequence_length=16, optim=recipe.Optim(learning_rate=0.02)
)


def tokenize_folder(folder: Path) -> Path:
    """Two sources of random documents, each over its own half of the vocabulary."""
    generator, sources = np.random.default_rng(7), {}
    for number, name in enumerate(SOURCES):
        sizes = {}
        for split, documents in (("train", 60), ("validation", 6)):
            with shards.ShardWriter(folder / "shards" / name, split, "uint16") as writer:
                for document in range(documents):
                    body = 3 + 45 * number + generator.integers(0, 45, 20)
                    writer.add(f"{name}-{split}-{document}", [0, *body.tolist(), 1], num_bytes=60)
            sizes[split] = writer.sizes
        sources[name] = shards.SourceIndex(**sizes)
    shards.write_index(folder, shards.Index(vocab_size=VOCAB, dtype="uint16", bos=0, eos=1, pad=2, sources=sources))
    return folder


def bench_of(folder: Path, stack: int, steps: int = 12) -> Bench:
    training = TRAINING.model_copy(update={"tokens": steps * TRAINING.tokens_per_step})
    return Bench(folder, SHAPE, training, SOURCES, 100, 0.5, stack)


def runs_of(number: int) -> list[Run]:
    shares = np.linspace(0, 1, number)
    return [
        Run(f"p{index:03d}", "proxy", {"prose": share, "code": 1 - share}, seed=1 + index % 3)
        for index, share in enumerate(shares.tolist())
    ]


def timeless(rows: Sequence[Outcome]) -> list[Row]:
    assert not [row for row in rows if isinstance(row, UserError)]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows if isinstance(row, dict)]


def assert_alike(rows: Sequence[Outcome], others: Sequence[Outcome]) -> None:
    """Equal but for rounding of the losses."""
    for row, other in zip(timeless(rows), timeless(others), strict=True):
        assert row.pop("losses") == pytest.approx(other.pop("losses"), rel=1e-5)
        assert row == other


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenize_folder(tmp_path_factory.mktemp("tokenize"))


@pytest.mark.parametrize("budget", [1.0, 0.5])
def test_rows_of_a_stack_are_those_of_separate_runs(folder: Path, budget: float) -> None:
    place = bench_of(folder, 1)
    tasks = [Task(replace(run, budget=budget), place) for run in runs_of(5)]
    alone = [together.train_together([task])[0] for task in tasks]
    assert_alike(together.train_together(tasks), alone)
    losses = [row["losses"]["prose"] for row in alone if isinstance(row, dict)]
    assert max(losses) - min(losses) > 0.01  # each has trained on its own mixture


def test_runs_of_other_sizes_are_not_mixed(folder: Path) -> None:
    first, second = runs_of(2)
    place = bench_of(folder, 2)
    with pytest.raises(ValueError, match="different sizes"):
        together.train_together([Task(first, place), Task(replace(second, budget=2.0), place)])


@pytest.mark.parametrize(
    "runner", [POOL, pytest.param(Runner(kind="ray", workers=2), marks=pytest.mark.slow)], ids=["pool", "ray"]
)  # Ray's workers are nice: minutes on a busy machine
def test_every_runner_gives_the_rows_of_one_process(folder: Path, tmp_path: Path, runner: Runner) -> None:
    place, runs, train = bench_of(folder, 2), runs_of(5), together.train_together
    rows = proxies.run_missing(runs, place, tmp_path / "other.jsonl", runner, "", train)
    wanted = proxies.run_missing(runs, place, tmp_path / "inline.jsonl", INLINE, "", train)
    assert [row["run"] for row in wanted] == [run.run for run in runs]
    assert timeless(rows) == timeless(wanted)
    alone = proxies.run_missing(runs, replace(place, stack=1), tmp_path / "alone.jsonl", INLINE, "", train)
    assert_alike(wanted, alone)


SCRIPT = """
import sys
from pathlib import Path
import test_together as tests
from orfevre.mix import proxies, together
if __name__ == "__main__":
    place = tests.bench_of(Path(sys.argv[1]), int(sys.argv[3]), tests.LONG)
    proxies.run_missing(tests.runs_of(12), place, Path(sys.argv[2]), tests.POOL, "", together.train_together)
"""
LONG = 100
"""Steps of a run that is long enough to be killed."""


@pytest.mark.parametrize("stack", [1, 3])
def test_kill_9_loses_no_more_than_the_runs_in_flight(folder: Path, tmp_path: Path, stack: int) -> None:
    log, runs, place = tmp_path / "proxies.jsonl", runs_of(12), bench_of(folder, stack, LONG)
    (tmp_path / "killed.py").write_text(SCRIPT, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, tmp_path / "killed.py", folder, log, str(stack)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(metrics.read(log)) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = metrics.read(log)
    assert 3 <= len(kept) < len(runs)
    trained: list[str] = []

    def counted(tasks: Sequence[Task]) -> Sequence[Outcome]:
        trained.extend(task.run.run for task in tasks)
        return [{"losses": {}} for _ in tasks]

    rows = proxies.run_missing(runs, place, log, INLINE, "", counted)
    assert sorted(trained) == sorted({run.run for run in runs} - {row["run"] for row in kept})
    assert [row["run"] for row in rows] == [run.run for run in runs]
    again = together.train_together([Task(next(run for run in runs if run.run == kept[0]["run"]), place)])
    assert_alike([{key: kept[0][key] for key in ("tokens", "flops", "losses")}], again)


def test_a_run_that_diverges_keeps_the_rows_beside_it(folder: Path, tmp_path: Path) -> None:
    log, runs, place = tmp_path / "proxies.jsonl", runs_of(4), bench_of(folder, 4)

    def second_diverges(tasks: Sequence[Task]) -> list[Outcome]:
        outcomes = list(together.train_together(tasks))
        return [
            UserError("training stopped") if task.run.run == "p001" else row
            for task, row in zip(tasks, outcomes, strict=True)
        ]

    with pytest.raises(UserError, match="training stopped"):
        proxies.run_missing(runs, place, log, INLINE, "", second_diverges)
    assert [row["run"] for row in metrics.read(log)] == ["p000", "p002", "p003"]


def test_training_that_diverges_is_said_by_each_run(folder: Path) -> None:
    wild = TRAINING.model_copy(update={"optim": recipe.Optim(learning_rate=1e38, warmup_fraction=0, grad_clip=0)})
    place = replace(bench_of(folder, 2), training=wild)
    outcomes = together.train_together([Task(run, place) for run in runs_of(2)])
    assert all(isinstance(each, UserError) and "Lower optim.learning_rate" in str(each) for each in outcomes)
    with pytest.raises(UserError, match=r"Lower optim\.learning_rate"):
        together.train_together([Task(runs_of(1)[0], place)])


def test_groups_hold_every_task_once_in_order(folder: Path) -> None:
    place = bench_of(folder, 4)
    tasks = [Task(replace(run, budget=2.0 if index < 5 else 1.0), place) for index, run in enumerate(runs_of(12))]
    found = proxies.groups(tasks, 4)
    assert [task for group in found for task in group] == tasks
    assert [len(group) for group in found] == [4, 1, 4, 3]


@given(st.integers(1, 200), st.integers(1, 9))
def test_automatic_stacks_share_the_work_evenly(number: int, workers: int) -> None:
    place = Bench(Path("none"), SHAPE.model_copy(update={"vocab_size": VOCAB}), TRAINING, SOURCES, 100, 1.0, 0)
    size = proxies.stack_size(place, number, Runner(kind="pool", workers=workers))
    assert 1 <= size <= proxies.STACK
    stacks = math.ceil(number / size)
    turns = math.ceil(stacks / workers)
    assert turns * size < number / workers + turns  # runs that the busiest worker trains, beside an even share
    assert proxies.stack_size(place, number, INLINE) == math.ceil(number / math.ceil(number / proxies.STACK))


def test_what_is_not_stacked_of_itself() -> None:
    def size(place: Bench, runner: Runner = POOL) -> int:
        return proxies.stack_size(place, 32, runner)

    shape = SHAPE.model_copy(update={"vocab_size": VOCAB})
    place = Bench(Path("none"), shape, TRAINING, SOURCES, 100, 1.0, 0)
    assert size(place) == 8
    assert size(replace(place, stack=3)) == 3
    assert size(replace(place, shape=shape.model_copy(update={"mtp_depth": 1}))) == 1
    assert size(replace(place, shape=shape.model_copy(update={"hidden_size": 4096}))) == 1
    assert size(place, Runner(kind="ray", ray=recipe.Ray(address="10.0.0.1:6379"))) == 1
    assert proxies.stack_size(place, 0, POOL) == 1


def test_a_stack_of_what_cannot_be_stacked_is_refused(table: dict[str, Any], folder: Path) -> None:
    table["mix"] |= {"stack": 4, "proxy": {"mtp_depth": 1}}
    with pytest.raises(RecipeError, match=r"mix\.stack = 4: models with mtp_depth = 1"):
        proxies.bench(recipe.from_table(table, "tiny.toml"), folder)
    table["mix"]["stack"] = 1
    assert proxies.bench(recipe.from_table(table, "tiny.toml"), folder).stack == 1
