"""The same results in process and over a pool; trouble in a worker is told in words."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orfevre import runner
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
