"""The same results in process and over a pool; trouble in a worker is told in words."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orfevre import ledger, runner
from orfevre.errors import InputError, UserError
from orfevre.recipe import Runner

INLINE, POOL = Runner(kind="inline"), Runner(kind="pool", workers=2)


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise InputError(f"number {number}: not liked")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def threads(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


def linger(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def parent(_: int) -> int:
    return os.getppid()


def test_pool_equals_inline() -> None:
    numbers = list(range(20))
    assert runner.run_all(square, numbers, POOL, label="") == runner.run_all(square, numbers, INLINE, label="")


@pytest.mark.parametrize("kind", [INLINE, POOL], ids=["inline", "pool"])
def test_no_tasks(kind: Runner) -> None:
    assert runner.run_all(square, [], kind, label="") == []


@pytest.mark.parametrize("kind", [INLINE, POOL], ids=["inline", "pool"])
def test_a_users_mistake_in_a_task_is_raised_here(kind: Runner) -> None:
    with pytest.raises(InputError, match="not liked"):
        runner.run_all(refuse, [1, 2], kind, label="")


def test_a_killed_worker_is_explained() -> None:
    with pytest.raises(UserError, match=r"runner\.workers=1"):
        runner.run_all(die, [1, 2], POOL, label="")


def test_workers_use_one_thread() -> None:
    assert runner.run_all(threads, [1, 2], POOL, label="") == ["1", "1"]


def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "from orfevre import runner; from orfevre.recipe import Runner; import test_runner\n"
        "if __name__ == '__main__':\n"
        f"    runner.run_all(test_runner.linger, [{str(tmp_path)!r}] * 2, Runner(workers=2), label='')"
    )
    script = tmp_path / "parent.py"
    script.write_text(code, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)})
    deadline = time.monotonic() + 60
    while len(workers := [path.name for path in tmp_path.iterdir() if path.name.isdigit()]) < 2:
        assert time.monotonic() < deadline, "the workers never started"
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while any(Path("/proc", worker).exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def test_ray_equals_inline_and_says_users_mistakes() -> None:
    ray = Runner(kind="ray", workers=2)
    numbers = list(range(12))
    assert runner.run_all(square, numbers, ray, label="") == runner.run_all(square, numbers, INLINE, label="")
    with pytest.raises(InputError, match="number 1: not liked"):
        runner.run_all(refuse, [1], ray, label="")
    with pytest.raises(UserError, match=r"runner\.workers=1"):
        runner.run_all(die, [1], ray, label="")
    assert runner.run_all(square, [3], ray, label="") == [9]  # the local Ray outlives a worker


def test_ray_leaves_no_process_behind(tmp_path: Path) -> None:
    code = (
        "import os; from orfevre import runner; from orfevre.recipe import Runner; import test_runner\n"
        "print(runner.run_all(test_runner.parent, [1], Runner(kind='ray', workers=1), label='')[0])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    raylet = Path("/proc", ran.stdout.strip())
    deadline = time.monotonic() + 20
    while raylet.exists():
        assert time.monotonic() < deadline, "Ray outlived the process that started it"
        time.sleep(0.05)


def test_other_code_on_a_cluster_is_refused() -> None:
    with pytest.raises(UserError, match="install the same version"):
        runner._on_cluster("0123456789ab", square, 3)
    assert runner._on_cluster(ledger.code_digest(), square, 3) == 9


def test_a_cluster_that_is_not_there_is_said() -> None:
    with pytest.raises(UserError, match=r"runner\.ray\.address = '127\.0\.0\.1:1'"):
        runner.run_all(square, [1], Runner(kind="ray", ray={"address": "127.0.0.1:1"}), label="")


def test_few_tasks_are_handed_out_ahead() -> None:
    taken: list[int] = []

    class Watched(list[int]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for number in super().__iter__():
                taken.append(number)
                yield number

    for done, _ in enumerate(runner.as_finished(square, Watched(range(50)), POOL, label=""), start=1):
        assert len(taken) <= done + 2 * runner.AHEAD
