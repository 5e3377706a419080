"""A float model and the images to calibrate on in, its calibration table out.

A finished table of the same graph and images is read back; an interrupted one goes on from its
journal; anything else starts anew.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx

from calib.calibrate import OnImage, calibrate
from calib.dataset import Mode, PatchSet, folder_patches
from calib.errors import CalibrationError
from calib.graph import graph_digest
from calib.sample import sample_patches
from calib.table import CalibrationTable
from deploy.artifacts import TABLE_NAME, Artifact, artifact_of
from deploy.progress import Advance, Progress
from quant.ranges import observed_tensors

JOURNAL_NAME = "calibration.journal"


@dataclass(frozen=True)
class CalibrationRequest:
    """Which images to calibrate on.

    Attributes:
        folder: of images, or ``None`` for the embedded sample.
        count: how many images at most.
        mode: resize whole images, or cut crops.
        seed: of the choice of images and crops.
    """

    folder: Path | None = None
    count: int = 50
    mode: Mode = "whole"
    seed: int = 0

    def patches(self) -> PatchSet:
        """Return the images, each decoded once to prove that it can be.

        Raises:
            ImageSetError: the folder holds no images.
            ImageError: an image does not decode.
        """
        if self.folder is None:
            return sample_patches("calibration", self.count)
        return folder_patches(self.folder, mode=self.mode, count=self.count, seed=self.seed)


def calibration_note(patches: PatchSet) -> str:
    """Return one line that says what a model is calibrated on."""
    if patches.origin == "sample":
        return (
            f"calibrating on {len(patches.patches)} patches of the embedded sample photographs; "
            "name your own images with --calib DIR"
        )
    return f"calibrating on {len(patches.patches)} images ({patches.mode})"


def calibration_table(
    model: onnx.ModelProto, patches: PatchSet, folder: Path, *, resume: bool, progress: Progress
) -> CalibrationTable:
    """Observe the float model over the images and keep the table in ``folder``.

    Args:
        model: the float model that is shipped.
        patches: images to observe.
        folder: where the table and, while it is being made, its journal lie.
        resume: use what an earlier run of the same job left there.
        progress: told what is going on.

    Raises:
        CalibrationError: an activation is NaN or infinite.
    """
    tensors = observed_tensors(model)
    finished = _finished_table(model, tensors, patches, folder) if resume else None
    if finished is not None:
        progress.note(f"using the finished calibration table of {len(patches.patches)} images")
        return finished
    journal = folder / JOURNAL_NAME
    if not resume:
        journal.unlink(missing_ok=True)
    progress.note(calibration_note(patches))
    with progress.stage("calibrating", len(patches.patches)) as advance:
        table = calibrate(model, tensors, patches, journal=journal, on_image=_steps(advance))
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


def table_artifacts(folder: Path) -> list[Artifact]:
    """Return what the manifest says of the calibration table in ``folder``."""
    path = folder / TABLE_NAME
    return [artifact_of(path), artifact_of(path.with_suffix(".npz"))]


def _finished_table(
    model: onnx.ModelProto, tensors: tuple[str, ...], patches: PatchSet, folder: Path
) -> CalibrationTable | None:
    path = folder / TABLE_NAME
    if not path.exists():
        return None
    try:
        table = CalibrationTable.load(path)
    except CalibrationError:
        return None
    same_job = (
        table.graph_digest == graph_digest(model)
        and table.images["digest"] == patches.digest
        and set(table.tensors) == set(tensors)
    )
    return table if same_job else None
