"""Hold the verdict on what a vendor returned, image by image."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calib.images import Picture
from deploy.artifacts.precision import ModelPrecision
from deploy.diagnosis.pictures import Finding

SCHEMA = "esrdeploy.returned/1"


@dataclass(frozen=True)
class PhotoScore:
    """How near three outputs come to the HR photograph: PSNR in dB, and SSIM.

    Attributes:
        returned: of the vendor.
        float_model: of the float network.
        int8_model: of our int8.
    """

    returned: tuple[float, float]
    float_model: tuple[float, float]
    int8_model: tuple[float, float]


@dataclass(frozen=True)
class ReturnedImage:
    """The verdict on one returned output, parities in dB.

    Attributes:
        name: of the golden input.
        file: that was returned, relative to its folder.
        form: how it was stored.
        psnr_db: of the returned output against float.
        required_db: what that must be at least.
        ours_db: of our int8 against float.
        between_db: of the returned output against our int8.
        ssim: of the returned against the float picture.
        max_abs_error: largest difference from float of a clipped value, in [0, 1].
        finding: the likely cause, where it is too far off and the cause has a name.
        photo: scores against the HR photograph, where there is one.
    """

    name: str
    file: str
    form: str
    psnr_db: float
    required_db: float
    ours_db: float
    between_db: float
    ssim: float
    max_abs_error: float
    finding: Finding | None = None
    photo: PhotoScore | None = None

    @property
    def passed(self) -> bool:
        """Whether the output is near enough to float."""
        return self.psnr_db >= self.required_db


@dataclass(frozen=True)
class Returned:
    """The verdict on everything that was returned.

    Attributes:
        model: name of the network.
        vendor: whose results these are.
        precision: that they were made in.
        profile: of our int8 they are shown beside.
        images: one entry per output that could be read.
        problems: one line per file that is missing, extra, misnamed or cannot be used.
        pictures: name to (float, returned) uint8 pictures, for a report.
    """

    model: str
    vendor: str
    precision: ModelPrecision
    profile: str
    images: tuple[ReturnedImage, ...]
    problems: tuple[str, ...]
    pictures: Mapping[str, tuple[Picture, Picture]]

    @property
    def passed(self) -> bool:
        """Whether every golden input came back, and near enough to float."""
        return bool(self.images) and not self.problems and all(i.passed for i in self.images)

    @property
    def reason(self) -> str:
        """What a return that is not accepted fails by, in one sentence; empty where it passes."""
        failed = [image for image in self.images if not image.passed]
        parts = []
        if failed:
            parts.append(f"{len(failed)} of {len(self.images)} outputs do not pass")
        if self.problems:
            count = len(self.problems)
            parts.append(f"{count} {'problem' if count == 1 else 'problems'} with the files")
        if not self.images:
            parts.append("no output could be judged")
        return "; ".join(parts)

    @property
    def cause(self) -> str | None:
        """The cause that most of the outputs that are too far off share."""
        failed = [image for image in self.images if not image.passed]
        causes = Counter(image.finding.cause for image in failed if image.finding is not None)
        if not causes:
            return None
        cause, count = causes.most_common(1)[0]
        return f"{cause} (in {count} of {len(failed)})"

    def mean_db(self, figure: str) -> float:
        """Return the mean of ``psnr_db``, ``ours_db`` or ``between_db`` over the outputs."""
        return float(np.mean([getattr(image, figure) for image in self.images]))

    def record(self) -> dict[str, Any]:
        """Return everything but the pictures as a JSON-able mapping."""
        summary = {}
        for figure in ("psnr_db", "ours_db", "between_db") if self.images else ():
            values = [getattr(image, figure) for image in self.images]
            summary[figure] = {"mean": round(self.mean_db(figure), 4), "min": min(values)}
        return {
            "schema": SCHEMA,
            "model": self.model,
            "vendor": self.vendor,
            "precision": self.precision,
            "profile": self.profile,
            "passed": self.passed,
            "cause": self.cause,
            "problems": list(self.problems),
            "summary": summary,
            "images": [{**asdict(image), "passed": image.passed} for image in self.images],
        }
