"""Calibrate a float graph: observe the wanted tensors over a set of patches, make a table of them.

One pass over the patches, one float inference each. Memory does not depend on their number, and
the table depends on neither their order, nor the threads, nor how often the run was interrupted.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx

from calib.arrays import AnyArray
from calib.colours import channels_of
from calib.dataset import PatchRef, PatchSet
from calib.digest import canonical_json, sha256_bytes
from calib.errors import CalibrationError, GraphError
from calib.graph import graph_digest, network_digest
from calib.images import Picture, to_input
from calib.journal import Journal
from calib.observe import SegmentedGraph, observe
from calib.runtime import ORT_VERSION, shares
from calib.statistics import TensorStatistics
from calib.table import CalibrationTable

OnImage = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Take the progress and do nothing with it."""


def calibrate(  # noqa: PLR0913  # three of them have defaults
    model: onnx.ModelProto,
    tensors: Sequence[str],
    patches: PatchSet,
    *,
    journal: Path | None = None,
    threads: int | None = None,
    on_image: OnImage = silent,
) -> CalibrationTable:
    """Observe ``tensors`` over all patches.

    Args:
        model: float graph with one input and static shapes; the one that is shipped.
        tensors: tensors to observe.
        patches: images to run.
        journal: state file; if it holds finished images of this very job, they are not run
            again. It stays, complete, when the run ends: remove it once the table is saved.
        threads: threads for inference and for counting; ``None`` takes every core.
        on_image: called with the number of images finished and of all, once at the start if
            some are, and after each image.

    Raises:
        CalibrationError: an activation is NaN or infinite, or a tensor is not in the graph.
        GraphError: the graph cannot be run this way.
        UsageError: the journal cannot be written.
    """
    tally = Tally(model, tensors, patches, journal=journal, on_image=on_image)
    remaining = tally.remaining
    if not remaining:
        return tally.table()
    workers, each = shares(len(remaining), threads)
    graph = SegmentedGraph(model, tensors, threads=each)

    def observed(patch: PatchRef) -> dict[str, TensorStatistics]:
        feeds = feed_picture(graph, patch.load(), patch.name)
        return observe(graph, feeds, source=patch.name, threads=threads)

    pool = ThreadPoolExecutor(workers)
    try:
        found = pool.map(observed, [patch for _, patch in remaining])
        for (number, _), statistics in zip(remaining, found, strict=True):
            tally.add(number, statistics)
    finally:  # an image that cannot be used ends the job: the others need not be run
        pool.shutdown(cancel_futures=True)
    return tally.table()


class Tally:
    """The statistics of a job's finished images, in memory and in the journal.

    Args:
        model: graph that is run.
        tensors: tensors observed.
        patches: all images of the job.
        journal: state file, read at once.
        on_image: told of the progress.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        tensors: Sequence[str],
        patches: PatchSet,
        *,
        journal: Path | None,
        on_image: OnImage,
    ) -> None:
        names = tuple(dict.fromkeys(tensors))
        self.job = {
            "graph": graph_digest(model),
            "tensors": sha256_bytes(canonical_json(names)),
            "images": patches.digest,
            "onnxruntime": ORT_VERSION,
        }
        self._network = network_digest(model)
        self._patches = patches
        self._on_image = on_image
        self._journal = None if journal is None else Journal(journal, self.job)
        self._done: set[int] = set()
        self._statistics: dict[str, TensorStatistics] = {}
        if self._journal is not None:
            self._done, self._statistics = self._journal.read()
        if self._done:
            on_image(len(self._done), len(patches.patches))

    @property
    def job_digest(self) -> str:
        """Sha256 of what identifies the job."""
        return sha256_bytes(canonical_json(self.job))

    @property
    def remaining(self) -> list[tuple[int, PatchRef]]:
        """Position and reference of each image that is still to be run."""
        return [
            (number, patch)
            for number, patch in enumerate(self._patches.patches)
            if number not in self._done
        ]

    def add(self, number: int, statistics: Mapping[str, TensorStatistics]) -> None:
        """Count the image at position ``number`` as finished.

        Raises:
            UsageError: the journal cannot be written.
        """
        if number in self._done:
            raise CalibrationError(f"image {number} was counted already")
        self._statistics = {
            name: self._statistics[name].merge(found) if self._done else found
            for name, found in statistics.items()
        }
        self._done.add(number)
        if self._journal is not None:
            self._journal.write(self._done, self._statistics)
        self._on_image(len(self._done), len(self._patches.patches))

    def table(self) -> CalibrationTable:
        """Return the table of the finished job.

        Raises:
            CalibrationError: images are missing, or there were none.
        """
        if not self._done or self.remaining:
            raise CalibrationError(
                f"{len(self._done)} of {len(self._patches.patches)} images were observed; "
                "a calibration table needs all, and at least one"
            )
        return CalibrationTable(self._network, self._patches.record(), self._statistics)


def feed_picture(graph: SegmentedGraph, picture: Picture, name: str) -> dict[str, AnyArray]:
    """Return a picture as the graph's one input.

    Raises:
        GraphError: the graph has several inputs, or one of another shape.
    """
    shapes = list(graph.inputs.values())
    pictures = [shape for shape in shapes if shape is not None and len(shape) == 4]
    array = to_input(picture, channels_of(pictures[0][1] if pictures else None))
    if shapes != [array.shape]:
        raise GraphError(
            f"picture {name!r} makes one input {array.shape}, the graph takes {graph.inputs}"
        )
    return dict.fromkeys(graph.inputs, array)
