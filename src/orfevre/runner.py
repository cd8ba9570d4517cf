"""Map a pure function over units of work: in this process or over a pool of processes, with the same results."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from orfevre import console
from orfevre.errors import UserError
from orfevre.ledger import usable_cores
from orfevre.recipe import Runner

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_all(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    runner: Runner,
    *,
    label: str,
    sizes: Sequence[float] | None = None,
    unit: str = "task",
) -> list[Result]:
    """Results in the order of the tasks. See `as_finished`."""
    results = dict(as_finished(function, tasks, runner, label=label, sizes=sizes, unit=unit))
    return [results[index] for index in range(len(tasks))]


def as_finished(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    runner: Runner,
    *,
    label: str,
    sizes: Sequence[float] | None = None,
    unit: str = "task",
) -> Iterator[tuple[int, Result]]:
    """Yield (index, result) as tasks finish.

    `function` must be importable (a module-level function) and must write only files of its own task. `sizes` (in
    `unit`, bytes for instance) weigh the progress bar. An exception in a task ends the map and is raised here.
    """
    sizes = [1.0] * len(tasks) if sizes is None else sizes
    workers = min(runner.workers or usable_cores(), len(tasks))
    with console.progress(label, sum(sizes), unit) as bar:
        pairs = _inline(function, tasks) if runner.kind == "inline" or workers <= 1 else _pool(function, tasks, workers)
        for index, outcome in pairs:
            bar.advance(sizes[index])
            yield index, outcome


def _inline(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
    for index, task in enumerate(tasks):
        yield index, function(task)


def _pool(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, Result]]:
    # spawn, not fork: a forked child may inherit a lock that torch's or BLAS's threads held
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        futures: dict[Future[Result], int] = {pool.submit(function, task): index for index, task in enumerate(tasks)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process was killed, most likely for want of memory; nothing that finished is lost. "
            "Run again with fewer workers: --set runner.workers=1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """One thread a worker, no traceback on Ctrl-C, and no orphan when the parent is killed."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
