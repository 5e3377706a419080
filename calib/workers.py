"""Reach Dask workers, on this machine or on a cluster, and deal work out to them.

What a job needs once reaches the workers as a plugin, which the scheduler also hands to workers
that join or restart later. If a worker dies, Dask runs its unfinished tasks elsewhere; one whose
workers die one after the other, be it its fault or that of another task beside it, ends in
`distributed.KilledWorker`.
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from calib.errors import EsrdeployError, UsageError
from calib.extras import install_command

try:
    import distributed
except ImportError as error:
    raise UsageError(
        f"workers need dask.distributed, which is not installed; run: {install_command('cluster')}"
    ) from error

__all__ = [
    "await_worker",
    "connected",
    "deal_out",
    "distributed",
    "local_cluster",
    "registered",
    "workers_of",
]

_IN_FLIGHT_PER_WORKER = 2  # one at work and one waiting: the client holds few pictures
PATIENCE_S = 20


def workers_of(
    scheduler: str | None, count: int | None
) -> AbstractContextManager["distributed.Client"]:
    """Reach the workers of a scheduler, or start some on this machine.

    Args:
        scheduler: its address; ``None``: there is none.
        count: how many to start where there is none; ``None``: one.

    Raises:
        UsageError: as :func:`connected` and :func:`local_cluster`.
    """
    return connected(scheduler) if scheduler is not None else local_cluster(count or 1)


@contextmanager
def local_cluster(workers: int) -> Iterator["distributed.Client"]:
    """Start that many worker processes on this machine, the cores dealt out evenly.

    Raises:
        UsageError: fewer than one worker is asked for.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers asked for; expected at least 1")
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=max(1, (os.cpu_count() or 1) // workers),
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port
            memory_limit=0,  # a calibration's memory is bounded by its design
            silence_logs=logging.ERROR,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def connected(address: str) -> Iterator["distributed.Client"]:
    """Connect to a running scheduler such as ``tcp://10.0.0.5:8786``.

    Raises:
        UsageError: no scheduler answers there.
    """
    try:
        client = distributed.Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address!r} ({error}); "
            "expected an address such as tcp://10.0.0.5:8786"
        ) from error
    with client:
        yield client


def await_worker(client: "distributed.Client") -> None:
    """Wait for the first worker.

    Raises:
        UsageError: there is none for :data:`PATIENCE_S`.
    """
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise UsageError(
            f"the Dask scheduler has had no worker for {PATIENCE_S} s; start some with "
            "'dask worker ADDRESS' in an environment that has esrdeploy"
        ) from error


@contextmanager
def registered(
    client: "distributed.Client", plugin: "distributed.WorkerPlugin", lost: EsrdeployError
) -> Iterator[None]:
    """Have a plugin on every worker.

    Args:
        client: of the workers.
        plugin: what a job needs once.
        lost: raised where the scheduler is lost meanwhile.
    """
    try:
        client.register_plugin(plugin)
        try:
            yield
        finally:
            client.unregister_worker_plugin(plugin.name)
    except (OSError, CancelledError) as error:
        raise lost from error


def deal_out(
    client: "distributed.Client",
    name: str,
    run: Callable[..., Any],
    jobs: Iterable[tuple[int, Callable[[], tuple[Any, ...]]]],
) -> Iterator[tuple[int, Any]]:
    """Submit jobs a few ahead of the workers, and yield each one's future when it is finished.

    Args:
        client: of the workers.
        name: that no other work of theirs has.
        run: what a worker runs.
        jobs: number of each, and what makes the arguments of ``run`` when it is submitted.
    """
    waiting = iter(jobs)
    finished = distributed.as_completed(loop=client.loop)
    at_work: dict[str, int] = {}

    def submit() -> None:
        """Top up, whatever number of workers there is by now."""
        ahead = _IN_FLIGHT_PER_WORKER * max(1, len(client.nthreads())) - len(at_work)
        for number, arguments in itertools.islice(waiting, max(0, ahead)):
            key = f"{name}-{number}"
            at_work[key] = number
            finished.add(client.submit(run, *arguments(), key=key, pure=False))

    submit()
    while at_work:
        future = next(finished)
        number = at_work.pop(future.key)
        submit()
        yield number, future
