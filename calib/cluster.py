"""Run the calibration job of :mod:`calib.calibrate` with its images dealt out to Dask workers.

Each image is one task: its pixels go out, the statistics of its tensors come back and are merged
here, exactly, so the table is byte for byte the one that a single process makes, provided that
the workers have the same kind of CPU and the same onnxruntime (the version is checked; a CPU of
another instruction set rounds convolutions differently).

The graph reaches the workers as a plugin, which the scheduler also hands to workers that join or
restart later; each keeps its sessions from task to task. If a worker dies, Dask runs its
unfinished images elsewhere; what came back before is merged and, with a journal, on disk.
"""

import itertools
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from calib.calibrate import OnImage, Tally, feed_picture, silent
from calib.dataset import PatchRef, PatchSet
from calib.errors import CalibrationError, UsageError
from calib.images import Picture
from calib.observe import SegmentedGraph, observe
from calib.runtime import ORT_VERSION
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable

try:
    import distributed
except ImportError as error:
    raise UsageError(
        "calibrating on a cluster needs dask.distributed, which is not installed; "
        "run: pip install 'esrdeploy[cluster]'"
    ) from error

_IN_FLIGHT_PER_WORKER = 2  # one at work and one waiting: the client holds few pictures
PATIENCE_S = 20


def calibrate_on_cluster(  # noqa: PLR0913  # two of them have defaults
    model: onnx.ModelProto,
    tensors: Sequence[str],
    patches: PatchSet,
    client: "distributed.Client",
    *,
    journal: Path | None = None,
    on_image: OnImage = silent,
) -> CalibrationTable:
    """Observe ``tensors`` over all patches on the workers of ``client``.

    Arguments and result are those of :func:`calib.calibrate.calibrate`.

    Raises:
        CalibrationError: as there; also if an image takes down one worker after another, the
            scheduler is lost, or a worker runs another onnxruntime than this process.
        GraphError: the graph cannot be run this way.
        UsageError: the cluster has no workers, or the journal cannot be written.
    """
    tally = Tally(model, tensors, patches, journal=journal, on_image=on_image)
    if tally.remaining:
        plugin = ObservationPlugin(tally.job_digest, model.SerializeToString(), tuple(tensors))
        _await_worker(client)
        with _registered(client, plugin):
            for number, statistics in _deal_out(client, plugin.name, tally.remaining):
                tally.add(number, statistics)
    return tally.table()


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


class ObservationPlugin(distributed.WorkerPlugin):  # type: ignore[misc]  # it has no types
    """A graph on a worker: loaded when its first image arrives, kept for the others.

    Args:
        job_digest: of the job it serves.
        model: serialized float graph.
        tensors: tensors to observe.
    """

    def __init__(self, job_digest: str, model: bytes, tensors: tuple[str, ...]) -> None:
        self.name = f"esrdeploy-{job_digest}"
        self._model = model
        self._tensors = tensors

    def setup(self, worker: Any) -> None:
        """Take the worker's threads for one image at a time: one image's memory, all its cores."""
        self._threads: int = worker.state.nthreads
        self._one_at_a_time = threading.Lock()
        self._graph: SegmentedGraph | None = None

    def teardown(self, worker: Any) -> None:  # noqa: ARG002  # the interface's signature
        """Give the sessions' memory back."""
        self._graph = None

    def observe(self, picture: Picture, name: str) -> dict[str, TensorStatistics]:
        """Run one picture and return the statistics of its tensors."""
        with self._one_at_a_time:
            if self._graph is None:
                model = onnx.ModelProto.FromString(self._model)
                self._graph = SegmentedGraph(model, self._tensors, threads=self._threads)
            feeds = feed_picture(self._graph, picture, name)
            return observe(self._graph, feeds, source=name, threads=self._threads)


def _observe_on_worker(
    plugin_name: str, picture: Picture, name: str
) -> tuple[str, dict[str, TensorStatistics]]:
    plugin: ObservationPlugin = distributed.get_worker().plugins[plugin_name]
    return ORT_VERSION, plugin.observe(picture, name)


def _await_worker(client: "distributed.Client") -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise UsageError(
            f"the Dask scheduler has had no worker for {PATIENCE_S} s; start some with "
            "'dask worker ADDRESS' in an environment that has esrdeploy"
        ) from error


@contextmanager
def _registered(client: "distributed.Client", plugin: ObservationPlugin) -> Iterator[None]:
    """Have the plugin on every worker, and say so if the scheduler is lost meanwhile."""
    try:
        client.register_plugin(plugin)
        try:
            yield
        finally:
            client.unregister_worker_plugin(plugin.name)
    except (OSError, CancelledError) as error:
        raise CalibrationError(
            "the connection to the Dask scheduler was lost; "
            "with a journal, the next run goes on from the last finished image"
        ) from error


def _deal_out(
    client: "distributed.Client", plugin_name: str, images: Sequence[tuple[int, PatchRef]]
) -> Iterator[tuple[int, dict[str, TensorStatistics]]]:
    """Submit images a few ahead of the workers; yield each one's statistics when they come."""
    waiting = iter(images)
    finished = distributed.as_completed(loop=client.loop)
    at_work: dict[str, tuple[int, str]] = {}

    def submit() -> None:
        """Top up, whatever number of workers there is by now."""
        ahead = _IN_FLIGHT_PER_WORKER * max(1, len(client.nthreads())) - len(at_work)
        for number, patch in itertools.islice(waiting, max(0, ahead)):
            key = f"{plugin_name}-{number}"
            at_work[key] = number, patch.name
            finished.add(
                client.submit(
                    _observe_on_worker, plugin_name, patch.load(), patch.name, key=key, pure=False
                )
            )

    submit()
    while at_work:
        future = next(finished)
        number, name = at_work.pop(future.key)
        version, statistics = worker_result(future, name)
        if version != ORT_VERSION:
            raise CalibrationError(
                f"a worker runs onnxruntime {version}, this process {ORT_VERSION}; "
                "a table needs one version everywhere"
            )
        submit()
        yield number, statistics


def worker_result(future: Any, name: str) -> tuple[str, dict[str, TensorStatistics]]:
    """Return what came back for an image: the worker's onnxruntime version and the statistics.

    Raises:
        CalibrationError: an activation is not finite, or the image took down several workers.
    """
    try:
        found: tuple[str, dict[str, TensorStatistics]] = future.result()
    except distributed.KilledWorker as error:
        raise CalibrationError(
            f"every worker that ran image {name!r} died, {error.last_worker.address} last; "
            "see that worker's log, most likely its memory ran out"
        ) from error
    return found
