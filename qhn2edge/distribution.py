"""Tasks on many processes or a Dask cluster: the same results as on one core, whoever dies on the way.

A task depends on its number and on what travels with it only, so it can run anywhere, and again. The tasks of
a run are its restarts: workers get the request and a number, and return the finished restart. Those of a
study are its points (studies/runner.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qhn2edge.cost import CostFunction
from qhn2edge.errors import TrainingError

if TYPE_CHECKING:
    from qhn2edge.data import DataSet
    from qhn2edge.recipes import Recipe
    from qhn2edge.results import Restart
    from qhn2edge.settings import TrainingSettings
    from qhn2edge.space import SearchSpace

T = TypeVar("T")
Task = Callable[[int], T]

# A pool that breaks is made again this often before the run gives up.
MAX_BROKEN_POOLS = 5
DASK_EXTRA = "pip install 'qhn2edge[studies]'"


@dataclass(frozen=True, eq=False)
class Request:
    """What a worker needs to run any restart: plain values that can be sent.

    Args:
        space: the networks to choose from.
        data: the data set.
        settings: the run's settings.
        cache: folder with the enumerated costs, so that workers need not compute them again.
    """

    space: SearchSpace
    data: DataSet
    settings: TrainingSettings
    cache: str | None


def check_workers(workers: int) -> None:
    """Refuse an impossible number of processes.

    Raises:
        TrainingError: it is below 1.
    """
    if workers < 1:
        raise TrainingError("workers is impossible", got=workers, expected="1 or more")


def run_restart(request: Request, number: int) -> Restart:
    """Run one restart of a request from its beginning to its end."""
    return finish_restart(_recipe(request), number)


def finish_restart(recipe: Recipe[Any], number: int) -> Restart:
    """Run one restart of a recipe from its beginning to its end."""
    running = recipe.start(number)
    while not running.done:
        running = recipe.advance({number: running})[number]
    return recipe.finish(number, running)


def on_processes(request: Request, numbers: Sequence[int], workers: int) -> Generator[Restart, None, None]:
    """Yield restarts as they finish on ``workers`` processes (see :func:`results_on_processes`)."""
    with closing(results_on_processes(partial(run_restart, request), numbers, workers)) as results:
        for _, restart in results:
            yield restart


def on_cluster(request: Request, numbers: Sequence[int], address: str) -> Generator[Restart, None, None]:
    """Yield restarts as they finish on a Dask cluster (see :func:`results_on_cluster`)."""
    with closing(results_on_cluster(partial(run_restart, request), numbers, address)) as results:
        for _, restart in results:
            yield restart


def results_on_processes(
    task: Task[T], numbers: Sequence[int], workers: int
) -> Generator[tuple[int, T], None, None]:
    """Yield (number, result) as tasks finish on processes; a pool whose process dies is made again.

    Args:
        task: a function of a number that can be sent to a process.
        numbers: the tasks.
        workers: processes, 1 or more.

    Raises:
        TrainingError: processes keep dying.
    """
    left = set(numbers)
    for _ in range(MAX_BROKEN_POOLS):
        try:
            for number, result in _pool_results(task, sorted(left), workers):
                left.discard(number)
                yield number, result
        except BrokenProcessPool:
            continue
        return
    raise TrainingError(
        "worker processes keep dying", got=f"{MAX_BROKEN_POOLS} times", next_step="use fewer --workers"
    )


def results_on_cluster(
    task: Task[T], numbers: Sequence[int], address: str
) -> Generator[tuple[int, T], None, None]:
    """Yield (number, result) as tasks finish on a Dask cluster; Dask runs those of a dead worker elsewhere.

    Args:
        task: a function of a number that can be sent to a worker.
        numbers: the tasks.
        address: the scheduler, such as ``tcp://host:8786``.

    Raises:
        TrainingError: Dask is not installed, the scheduler does not answer, or the cluster lost a task.
    """
    try:
        import distributed
    except ImportError as error:
        raise TrainingError("Dask is not installed", next_step=f"get it with {DASK_EXTRA}") from error
    try:
        client: Any = distributed.Client(address, timeout="5s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise TrainingError(
            "the Dask scheduler does not answer", got=address, expected="an address such as tcp://host:8786"
        ) from error
    with client:
        # All that a task needs travels with it: what was sent ahead could die with its worker.
        futures = client.map(task, numbers, pure=False, retries=5)
        number_of = {future.key: number for future, number in zip(futures, numbers, strict=True)}
        try:
            for future in distributed.as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                yield number_of[future.key], future.result()
        except distributed.KilledWorker as error:
            raise TrainingError(
                "the cluster lost a part of the work", next_step="repeat the command, or resume the run"
            ) from error


def _pool_results(task: Task[T], numbers: Sequence[int], workers: int) -> Iterator[tuple[int, T]]:
    # A forked process would inherit locks of JAX's threads, so processes start fresh.
    with _pool(workers) as pool:
        futures = _submit(pool, task, numbers)
        for future in as_completed(futures):
            yield futures[future], future.result()


def _submit(pool: ProcessPoolExecutor, task: Task[T], numbers: Sequence[int]) -> dict[Future[T], int]:
    """Hand the tasks in; a process that dies meanwhile breaks the pool.

    Raises:
        BrokenProcessPool: a process died. While the pool notices, it closes the pipes under a submission that
            is starting the next process, which then sees the operating system's error instead.
    """
    try:
        return {pool.submit(task, number): number for number in numbers}
    except OSError as error:
        raise BrokenProcessPool("a process died while tasks were handed in") from error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool that ends with the block, however it is left."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed without a word perhaps."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="qhn2edge-parent-watch").start()


def _recipe(request: Request) -> Recipe[Any]:
    """Return the request's recipe; a worker makes it once."""
    key = request.data.digest, repr(request.space.to_json()), repr(request.settings.to_json())
    if key not in _recipes:
        _recipes.clear()
        _recipes[key] = _make(request)
    return _recipes[key]


_recipes: dict[tuple[str, str, str], Recipe[Any]] = {}


def _make(request: Request) -> Recipe[Any]:
    from qhn2edge.recipes import make_recipe

    settings = request.settings
    cost = CostFunction(request.space, request.data, settings.loss, settings.memory_bytes)
    cache = Path(request.cache) if request.cache else None
    return make_recipe(cost, settings, progress=None, cache=cache)
