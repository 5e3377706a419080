"""Run the calibration job of :mod:`calib.calibrate` with its images dealt out to Dask workers.

Each image is one task: its pixels go out, the statistics of its tensors come back and are merged
here, exactly, so the table is byte for byte the one that a single process makes, provided that
the workers have the same kind of CPU and the same onnxruntime (the version is checked; a CPU of
another instruction set rounds convolutions differently).

The graph reaches the workers as a plugin; each keeps its sessions from task to task. If a worker
dies, its unfinished images are run elsewhere (:mod:`calib.workers`); what came back before is
merged and, with a journal, on disk.
"""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from calib.calibrate import OnImage, Tally, feed_picture, silent
from calib.dataset import PatchRef, PatchSet
from calib.errors import CalibrationError
from calib.images import Picture
from calib.observe import SegmentedGraph, observe
from calib.runtime import ORT_VERSION
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable
from calib.workers import await_worker, deal_out, distributed, registered


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
        names = {number: patch.name for number, patch in tally.remaining}
        jobs = [
            (number, partial(_arguments, plugin.name, patch)) for number, patch in tally.remaining
        ]
        lost = CalibrationError(
            "the connection to the Dask scheduler was lost; "
            "with a journal, the next run goes on from the last finished image"
        )
        await_worker(client)
        with registered(client, plugin, lost):
            for number, future in deal_out(client, plugin.name, _observe_on_worker, jobs):
                version, statistics = worker_result(future, names[number])
                if version != ORT_VERSION:
                    raise CalibrationError(
                        f"a worker runs onnxruntime {version}, this process {ORT_VERSION}; "
                        "a table needs one version everywhere"
                    )
                tally.add(number, statistics)
    return tally.table()


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


def _arguments(plugin_name: str, patch: PatchRef) -> tuple[str, Picture, str]:
    return plugin_name, patch.load(), patch.name


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
