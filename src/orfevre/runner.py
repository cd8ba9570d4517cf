"""Map a pure function over units of work: in this process, over a pool of processes or over Ray, with the same results.

A task is small (names of files) and leaves its work in files, so little goes between processes and nothing that
finished is lost when one of them is killed. Ray's machines must see the work folder and the sources at the same paths.
"""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from orfevre import __version__, console
from orfevre.errors import UserError
from orfevre.ledger import code_digest, usable_cores
from orfevre.recipe import Runner

Task = TypeVar("Task")
Result = TypeVar("Result")

AHEAD = 2
"""Tasks handed out for each worker: one that runs and one that waits, however many there are."""

OBJECT_STORE_BYTES = 80 * 2**20
"""Ray's shared memory, at its least: tasks and results are small."""

WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""One thread a worker: there are as many workers as cores."""

_CONNECTED: dict[str, tuple[str, int]] = {}
"""The address and cores that Ray was last started with in this process."""

KILLED = (
    "a worker process was killed, most likely for want of memory; nothing that finished is lost. "
    "Run again with fewer workers: --set runner.workers=1"
)


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
        if runner.kind == "ray" and tasks:
            pairs = _over_ray(function, tasks, runner)
        elif runner.kind == "inline" or workers <= 1:
            pairs = _inline(function, tasks)
        else:
            pairs = _pool(function, tasks, workers)
        for index, outcome in pairs:
            bar.advance(sizes[index])
            yield index, outcome


def _inline(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
    for index, task in enumerate(tasks):
        yield index, function(task)


def _pool(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, Result]]:
    # spawn, not fork: a forked child may inherit a lock that torch's or BLAS's threads held
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    running: dict[Future[Result], int] = {}
    waiting = iter(enumerate(tasks))
    try:
        while True:
            for index, task in islice(waiting, workers * AHEAD - len(running)):
                running[pool.submit(function, task)] = index
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool:
        raise UserError(KILLED) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _over_ray(
    function: Callable[[Task], Result], tasks: Sequence[Task], runner: Runner
) -> Iterator[tuple[int, Result]]:
    """Tasks of one core each on a Ray cluster; what is sent is the function's name and the task."""
    ray = _import_ray()
    workers = _connect(ray, runner)
    # on a cluster, machines come and go; here, a worker that was killed would only be killed again
    retries = 3 if runner.ray.address else 0
    digest = code_digest() if runner.ray.address else ""
    remote = ray.remote(num_cpus=1, max_retries=retries)(_on_cluster)
    running: dict[Any, int] = {}
    waiting = iter(enumerate(tasks))
    try:
        while True:
            for index, task in islice(waiting, workers * AHEAD - len(running)):
                running[remote.remote(digest, function, task)] = index
            if not running:
                return
            (ready,), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(ready), _ray_result(ray, ready)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _on_cluster(digest: str, function: Callable[[Task], Result], task: Task) -> Result:
    """Refuses to run other code than the caller's, whose digest is given unless it is on this machine."""
    os.environ.update(WORKER_ENVIRONMENT)
    if digest and code_digest() != digest:
        raise UserError(
            f"a Ray worker runs other code of orfevre ({__version__}, source {code_digest()}) than this process "
            f"(source {digest}); install the same version on every machine of runner.ray.address"
        )
    return function(task)


def _ray_result(ray: Any, reference: Any) -> Any:
    lost = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)
    try:
        return ray.get(reference)
    except lost:
        raise UserError(KILLED) from None
    except ray.exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, ModuleNotFoundError) and (cause.name or "").partition(".")[0] == "orfevre":
            raise UserError(
                f"a Ray worker has no orfevre ({cause}); install it on every machine of runner.ray.address"
            ) from None
        raise (cause if isinstance(cause, Exception) else error) from None


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts: nothing is reported to anyone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise UserError(
            'runner.kind = "ray": Ray is not installed; `pip install "orfevre[ray]"` brings it, or use '
            "--set runner.kind=pool"
        ) from None
    return ray


def _connect(ray: Any, runner: Runner) -> int:
    """How many tasks run at once. A local Ray takes 5 s to start, so it stays for the next map; Ray ends it at exit."""
    address, cores = runner.ray.address, runner.workers or usable_cores()
    if _CONNECTED.get("to") != (address, cores) or not ray.is_initialized():
        ray.shutdown()
        _require_listener(address)
        local = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        where = {"address": address} if address else {"address": "local", **local}
        try:
            ray.init(logging_level="error", log_to_driver=False, **where)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"runner.ray.address = {address!r}: no Ray cluster can be had there ({error})") from None
        _CONNECTED["to"] = (address, cores)
    return runner.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))


def _require_listener(address: str) -> None:
    """Ray itself would wait for minutes where nobody listens."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=20).close()
    except OSError as error:
        raise UserError(
            f"runner.ray.address = {address!r}: nobody answers there ({error}); start the cluster with `ray start "
            "--head`, mend the address, or use --set runner.kind=pool"
        ) from None


def _start_worker() -> None:
    """One thread a worker, no traceback on Ctrl-C, and no orphan when the parent is killed."""
    os.environ.update(WORKER_ENVIRONMENT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
