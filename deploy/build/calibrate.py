"""Calibrate a float model on images, or take up a finished or interrupted calibration.

A finished table of the same graph and images is read back; an interrupted one goes on from its
journal; anything else starts anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from calib.calibrate import OnImage, calibrate
from calib.choose_patches import folder_patches
from calib.dataset import PatchSet
from calib.degradation.parameters import Degradation, DegradationParameters
from calib.errors import CalibrationError, StaleTableError, named
from calib.graph import GraphIndex
from calib.held_back import split_folder
from calib.images_record import ImagesRecord, Mode
from calib.sample import sample_patches
from calib.table import CalibrationTable
from calib.tile import USUAL_SIZE, Size
from calib.words import counted
from deploy.artifacts.files import TABLE_ARRAYS_NAME, TABLE_NAME, Artifact, artifact_of
from deploy.build.execution import Execution
from deploy.progress import Advance, Progress
from quant.analysis.tensor_distributions import observed_tensors

JOURNAL_NAME = "calibration.journal"


@dataclass(frozen=True)
class CalibrationRequest:
    """Which images to calibrate on.

    Attributes:
        folder: of images, or ``None`` for the embedded sample.
        count: how many images at most.
        mode: resize whole images, or cut crops.
        seed: of the choice of images and crops.
        table: a finished table to use instead of any images.
        degradation: what to degrade the images by, which are photographs then; ``None``: they are
            taken as they are.
    """

    folder: Path | None = None
    count: int = 50
    mode: Mode = "whole"
    seed: int = 0
    table: Path | None = None
    degradation: DegradationParameters | None = None

    def chosen(
        self, size: Size = USUAL_SIZE, *, scale: int = 1, hold_back: bool = True
    ) -> "ChosenImages":
        """Return the images, each decoded once to prove that it can be, or the finished table.

        Args:
            size: of the pictures that the network takes.
            scale: by which it enlarges them.
            hold_back: part of the user's own images, to judge on them.

        Raises:
            ImageSetError: the folder holds no images.
            ImageError: an image does not decode.
            CalibrationError: the table is missing or damaged.
        """
        if self.table is not None:
            return ChosenImages(CalibrationTable.load(self.table))
        if self.folder is None:
            return ChosenImages(sample_patches("calibration", self.count, size))
        how: Any = {"mode": self.mode, "count": self.count, "seed": self.seed, "size": size}
        if self.degradation is not None:
            how["degradation"] = Degradation(scale, self.degradation)
        if not hold_back:
            return ChosenImages(folder_patches(self.folder, **how))
        split = split_folder(self.folder, **how)
        return ChosenImages(split.calibration, split.held_back)


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """What to calibrate on, and what was held back from that.

    Attributes:
        source: the images, or a finished table.
        held_back: the user's images that were held back; ``None`` where none were.
    """

    source: PatchSet | CalibrationTable
    held_back: PatchSet | None = None

    @property
    def images(self) -> ImagesRecord:
        """The pictures to calibrate on."""
        if isinstance(self.source, CalibrationTable):
            return self.source.images
        return self.source.record()


def calibration_note(patches: PatchSet) -> str:
    """Return one line that says what a model is calibrated on."""
    if patches.origin == "sample":
        return (
            f"calibrating on {len(patches.patches)} patches of the embedded sample photographs; "
            "name your own images with --calib DIR"
        )
    degraded = "" if patches.degradation is None else ", degraded"
    images = counted(len(patches.patches), "image")
    return f"calibrating on {images} ({patches.mode}{degraded})"


def require_fitting(
    source: PatchSet | CalibrationTable | None, table: Path | None, graph: GraphIndex
) -> None:
    """Refuse a finished table, which the file ``table`` holds, of another graph.

    Raises:
        StaleTableError: it is of another graph.
    """
    if isinstance(source, CalibrationTable) and table is not None:
        with named(table, StaleTableError):
            source.require_network(graph.network_digest)


def calibration_table(
    graph: GraphIndex,
    source: PatchSet | CalibrationTable,
    folder: Path,
    *,
    execution: Execution,
    progress: Progress,
) -> CalibrationTable:
    """Observe the float model over the images and keep the table in ``folder``.

    Args:
        graph: the float model that is shipped.
        source: the images to observe, or a finished table of this model.
        folder: where the table and, while it is being made, its journal lie.
        execution: how and where the images are run.
        progress: told what is going on.

    Raises:
        CalibrationError: an activation is NaN or infinite.
        StaleTableError: the finished table is of another graph.
    """
    if isinstance(source, CalibrationTable):
        source.require_network(graph.network_digest)
        source.save(folder / TABLE_NAME)
        return source
    patches = source
    tensors = observed_tensors(graph.model)
    finished = _finished_table(graph, tensors, patches, folder) if execution.resume else None
    if finished is not None:
        progress.note(f"using the finished calibration table of {len(patches.patches)} images")
        return finished
    journal = folder / JOURNAL_NAME
    if not execution.resume:
        journal.unlink(missing_ok=True)
    progress.note(calibration_note(patches))
    with progress.stage("calibrating", len(patches.patches)) as advance:
        table = _observe(
            graph.model,
            tensors,
            patches,
            journal=journal,
            execution=execution,
            on_image=_steps(advance),
        )
    table.save(folder / TABLE_NAME)
    journal.unlink(missing_ok=True)
    return table


def _steps(advance: Advance) -> OnImage:
    """Turn the count of finished images, which starts high on a resumed run, into steps."""
    reported = 0

    def on_image(done: int, _count: int) -> None:
        nonlocal reported
        while reported < done:
            reported += 1
            advance()

    return on_image


def resumable_files(folder: Path) -> tuple[str, ...]:
    """Return the names of files in a folder that spare work where they are of the same job."""
    costs = [path.name for path in folder.glob("*.sensitivity.json")]
    return (TABLE_NAME, TABLE_ARRAYS_NAME, JOURNAL_NAME, *costs)


def table_artifacts(folder: Path) -> list[Artifact]:
    """Return what the manifest says of the calibration table in ``folder``."""
    return [artifact_of(folder / name) for name in (TABLE_NAME, TABLE_ARRAYS_NAME)]


def _observe(  # noqa: PLR0913  # one job, wherever it runs
    model: onnx.ModelProto,
    tensors: Sequence[str],
    patches: PatchSet,
    *,
    journal: Path,
    execution: Execution,
    on_image: OnImage,
) -> CalibrationTable:
    """Run the images in this process, on local workers or on a cluster: always the same table."""
    if execution.scheduler is None and execution.workers is None:
        return calibrate(model, tensors, patches, journal=journal, on_image=on_image)
    from calib.cluster import calibrate_on_cluster  # noqa: PLC0415  # an extra, slow to import
    from calib.workers import workers_of  # noqa: PLC0415

    with workers_of(execution.scheduler, execution.workers) as client:
        return calibrate_on_cluster(
            model, tensors, patches, client, journal=journal, on_image=on_image
        )


def _finished_table(
    graph: GraphIndex, tensors: tuple[str, ...], patches: PatchSet, folder: Path
) -> CalibrationTable | None:
    path = folder / TABLE_NAME
    if not path.exists():
        return None
    try:
        table = CalibrationTable.load(path)
    except CalibrationError:
        return None
    same_job = (
        table.network_digest == graph.network_digest
        and table.images.digest == patches.digest
        and table.images.size == patches.size
        and set(table.tensors) == set(tensors)
    )
    return table if same_job else None
