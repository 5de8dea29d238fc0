"""Restarts on many processes or a Dask cluster: the same results as on one core, whoever dies on the way.

A restart depends on its number and the run's settings only, so it can run anywhere, and again. Workers get
the request and a number, and return the finished restart; the run keeps what is finished.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.cost import CostFunction
from qhn2edge.errors import TrainingError

if TYPE_CHECKING:
    from qhn2edge.data import DataSet
    from qhn2edge.recipes import Recipe
    from qhn2edge.results import Restart
    from qhn2edge.settings import TrainingSettings
    from qhn2edge.space import SearchSpace

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
    """Run one restart from its beginning to its end."""
    recipe = _recipe(request)
    running = recipe.start(number)
    while not running.done:
        running = recipe.advance({number: running})[number]
    return recipe.finish(number, running)


def on_processes(request: Request, numbers: Sequence[int], workers: int) -> Generator[Restart, None, None]:
    """Yield restarts as they finish on ``workers`` processes; a pool whose process dies is made again.

    Raises:
        TrainingError: processes keep dying.
    """
    left = set(numbers)
    for _ in range(MAX_BROKEN_POOLS):
        try:
            for restart in _pool_results(request, sorted(left), workers):
                left.discard(restart.number)
                yield restart
        except BrokenProcessPool:
            continue
        return
    raise TrainingError(
        "worker processes keep dying", got=f"{MAX_BROKEN_POOLS} times", next_step="use fewer --workers"
    )


def on_cluster(request: Request, numbers: Sequence[int], address: str) -> Generator[Restart, None, None]:
    """Yield restarts as they finish on a Dask cluster; Dask runs those of a dead worker elsewhere.

    Args:
        request: the run.
        numbers: the restarts.
        address: the scheduler, such as ``tcp://host:8786``.

    Raises:
        TrainingError: Dask is not installed, the scheduler does not answer, or the cluster lost a restart.
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
        # The request travels with every task: one that was sent ahead could die with its worker.
        futures = client.map(partial(run_restart, request), numbers, pure=False, retries=5)
        try:
            for future in distributed.as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                yield future.result()
        except distributed.KilledWorker as error:
            raise TrainingError("the cluster lost a restart", next_step="resume the run") from error


def _pool_results(request: Request, numbers: Sequence[int], workers: int) -> Iterator[Restart]:
    # A forked process would inherit locks of JAX's threads, so processes start fresh.
    with _pool(workers) as pool:
        for future in as_completed(_submit(pool, request, numbers)):
            yield future.result()


def _submit(pool: ProcessPoolExecutor, request: Request, numbers: Sequence[int]) -> list[Future[Restart]]:
    """Hand the restarts in; a process that dies meanwhile breaks the pool.

    Raises:
        BrokenProcessPool: a process died. While the pool notices, it closes the pipes under a submission that
            is starting the next process, which then sees the operating system's error instead.
    """
    try:
        return [pool.submit(run_restart, request, number) for number in numbers]
    except OSError as error:
        raise BrokenProcessPool("a process died while tasks were handed in") from error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool that ends with the block, however it is left."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


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
