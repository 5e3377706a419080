"""Name every figure of ``parity.json``, and those of them that the manifest repeats."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from calib.dataset import PatchRef
from calib.errors import VerificationError
from calib.held_back import found_patches
from calib.images_record import ImagesRecord, described, parts_of, photographs_cut
from calib.records import Positive, Sha256, read
from calib.words import counted
from deploy.artifacts.files import PARITY_NAME

_MOST_DB = 300.0  # beyond what float64 tells of a file's figure, whatever that is
SCHEMA: Literal["esrdeploy.parity/2"] = "esrdeploy.parity/2"


@dataclass(frozen=True)
class Threshold:
    """What every single picture must reach.

    Attributes:
        psnr_db: least parity, decibels.
        ssim: least structural similarity of the 8-bit pictures; ``None``: of maps, which have none.
    """

    psnr_db: float
    ssim: float | None


@dataclass(frozen=True)
class ImageParity:
    """Parity of one picture.

    Attributes:
        name: of the picture.
        psnr_db: parity in decibels, on outputs clipped to [0, 1]; of maps SQNR
            (calib/output_kind.py).
        ssim: structural similarity of the 8-bit pictures; ``None``: of maps.
        max_abs_error: largest difference of two clipped output values, in [0, 1]; of maps not
            clipped.
    """

    name: str
    psnr_db: float
    ssim: float | None
    max_abs_error: float


@dataclass(frozen=True)
class ParitySummary:
    """The overall figures of one model: means, the worst picture, the verdict.

    Attributes:
        reference: what it was compared with.
        images: how many pictures.
        psnr_db_mean: mean parity, dB.
        psnr_db_min: least parity, dB.
        ssim_mean: mean structural similarity; ``None``: of maps.
        ssim_min: least structural similarity; ``None``: of maps.
        max_abs_error: largest difference of two output values, of pictures clipped to [0, 1].
        passed: every picture reached its threshold.
    """

    reference: str
    images: Positive
    psnr_db_mean: float
    psnr_db_min: float
    ssim_mean: float | None
    ssim_min: float | None
    max_abs_error: float
    passed: bool


@dataclass(frozen=True)
class ParityRecord(ParitySummary):
    """All figures of one model.

    Attributes:
        threshold: what each picture had to reach.
        failures: one line for each figure below it.
        per_image: one entry per picture.
    """

    threshold: Threshold
    failures: tuple[str, ...]
    per_image: tuple[ImageParity, ...]

    @property
    def joint_db(self) -> float:
        """Parity of all pictures together, in dB: that of the mean of their squared errors."""
        within = (min(max(image.psnr_db, -_MOST_DB), _MOST_DB) for image in self.per_image)
        errors = [10.0 ** (-db / 10.0) for db in within]
        return round(-10.0 * math.log10(sum(errors) / len(errors)), 4)

    @property
    def summary(self) -> ParitySummary:
        """The overall figures alone."""
        return ParitySummary(*(getattr(self, item.name) for item in fields(ParitySummary)))


@dataclass(frozen=True)
class VerifiedOn:
    """Which pictures the models of a build were compared on.

    Attributes:
        choice: those of the embedded ``sample``; a part of the user's calibration pictures that
            was ``held-back`` from calibration; or another ``folder`` of the user.
        images: the pictures; none was calibrated on.
    """

    choice: Literal["sample", "held-back", "folder"]
    images: ImagesRecord

    def found_in(self, folder: Path) -> tuple[PatchRef, ...]:
        """Return those of the user's own pictures that a folder holds; of the sample's none.

        Raises:
            ImageError: a file of that name does not decode.
        """
        if self.choice == "sample" or not folder.is_dir():
            return ()
        return found_patches(folder, self.images)

    @property
    def counted(self) -> str:
        """How many they are, whose, of how many photographs, and what those became."""
        count = counted(self.images.count, "picture")
        if self.choice == "sample":
            return f"{count} of the embedded sample"
        cut_from = photographs_cut(self.images)
        return f"{count} of {cut_from or 'your own'}: {parts_of(self.images)}"

    def __str__(self) -> str:
        """Return in words which pictures these are."""
        held = ", held back from calibration" if self.choice == "held-back" else ""
        return f"{described(self.images)}{held}"


@dataclass(frozen=True)
class ParityFigures:
    """What the manifest says of parity.

    Attributes:
        images_digest: of the set of pictures; ``None`` where nothing was compared yet.
        artifacts: by ONNX file.
    """

    images_digest: Sha256 | None = None
    artifacts: Mapping[str, ParitySummary] = field(default_factory=dict)


@dataclass(frozen=True)
class ParityFile:
    """What ``parity.json`` says.

    Attributes:
        images_digest: of the set of pictures.
        artifacts: by ONNX file.
        schema: version of the format.
    """

    images_digest: Sha256
    artifacts: Mapping[str, ParityRecord]
    schema: Literal["esrdeploy.parity/2"] = SCHEMA

    @property
    def figures(self) -> ParityFigures:
        """What the manifest repeats."""
        summaries = {name: record.summary for name, record in self.artifacts.items()}
        return ParityFigures(self.images_digest, summaries)


def read_parity(folder: Path) -> ParityFile:
    """Read the parity figures of the build in ``folder``.

    Raises:
        VerificationError: they are missing, or are none.
    """
    return read(folder / PARITY_NAME, ParityFile, VerificationError, "build again")
