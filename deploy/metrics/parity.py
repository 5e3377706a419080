"""Compare what two networks drew of the same picture, and give the verdict on several.

Parity is measured on outputs clipped to [0, 1], what a viewer would see before rounding:

    parity = 10 log10(1 / mean((clip(a) - clip(b))^2)) dB

What passes reaches one of two levels, by its worst picture. From 40 dB on, values differ by 2.55 of
255 grey levels in the root mean square, which nobody sees in a photograph; below, they may.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from calib.arrays import Float32
from calib.errors import VerificationError
from calib.images import to_pictures
from deploy.artifacts.parity_record import ImageParity, ParityRecord, ParitySummary, Threshold
from deploy.artifacts.precision import ModelPrecision
from deploy.metrics.psnr_ssim import max_abs_error, parity_db, ssim

__all__ = [
    "LEVELS",
    "THRESHOLDS",
    "UNSEEN_DB",
    "ImageParity",
    "Level",
    "ParityResult",
    "Threshold",
    "at_least",
    "compare",
    "level_of",
    "lowest_level",
]

UNSEEN_DB = 40.0
"""From which parity on two pictures cannot be told apart."""

Level = Literal["not acceptable", "acceptable", "cannot be told apart"]
LEVELS: tuple[Level, ...] = ("not acceptable", "acceptable", "cannot be told apart")


THRESHOLDS: Mapping[ModelPrecision, Threshold] = {
    # Two float32 engines differ by summation order alone, far above 100 dB.
    "fp32": Threshold(psnr_db=100.0, ssim=0.9999),
    # Half a unit in the last place of fp16 through some hundred layers.
    "fp16": Threshold(psnr_db=55.0, ssim=0.995),
    # Under 27 dB an 8-bit build shows grain and colour shifts that the eye finds.
    "int8": Threshold(psnr_db=27.0, ssim=0.6),
}


def level_of(summary: ParitySummary) -> Level:
    """Return the level that a model reaches on every picture it was compared on."""
    if not summary.passed:
        return "not acceptable"
    return "cannot be told apart" if summary.psnr_db_min >= UNSEEN_DB else "acceptable"


def lowest_level(summaries: Iterable[ParitySummary]) -> Level:
    """Return the level that every one of some models reaches; the lowest for no model at all."""
    return min(map(level_of, summaries), key=LEVELS.index, default=LEVELS[0])


def at_least(summaries: Iterable[ParitySummary]) -> str:
    """Return the parity that some models reach on every picture, in dB, rounded down to a tenth."""
    lowest_db = min(summary.psnr_db_min for summary in summaries)
    return f"{math.floor(10.0 * lowest_db) / 10.0:.1f}"


@dataclass(frozen=True)
class ParityResult:
    """The verdict on one artifact, with every number it rests on.

    Attributes:
        candidate: file that was judged.
        reference: what it was judged against.
        threshold: what each picture had to reach.
        images: one entry per picture, never empty.
    """

    candidate: str
    reference: str
    threshold: Threshold
    images: tuple[ImageParity, ...]

    def __post_init__(self) -> None:
        if not self.images:
            raise VerificationError(
                f"{self.candidate} was compared on no picture; a verdict needs at least one"
            )

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each picture and figure below its threshold."""
        lines = []
        for image in self.images:
            for figure, unit in (("psnr_db", " dB"), ("ssim", "")):
                found, expected = getattr(image, figure), getattr(self.threshold, figure)
                if not found >= expected:  # catches NaN as well
                    lines.append(
                        f"{image.name}: {figure} {found:.4g}{unit} against {self.reference}, "
                        f"expected at least {expected:g}{unit}"
                    )
        return tuple(lines)

    @property
    def passed(self) -> bool:
        """Whether every picture reaches every threshold."""
        return not self.failures

    @property
    def level(self) -> Level:
        """The level that it reaches on every picture."""
        return level_of(self.summary())

    @property
    def against(self) -> str:
        """What it was judged against, in a word: ``torch``, ``onnx``, or the ``float`` file."""
        return self.reference if self.reference in {"torch", "onnx"} else "float"

    @property
    def verdict(self) -> str:
        """The level that it reaches, or that it fails."""
        return self.level if self.passed else "FAIL"

    def summary(self) -> ParitySummary:
        """Return the overall figures: means, the worst picture, the verdict."""
        psnr = [image.psnr_db for image in self.images]
        similarity = [image.ssim for image in self.images]
        return ParitySummary(
            reference=self.reference,
            images=len(self.images),
            psnr_db_mean=round(float(np.mean(psnr)), 4),
            psnr_db_min=round(min(psnr), 4),
            ssim_mean=round(float(np.mean(similarity)), 6),
            ssim_min=round(min(similarity), 6),
            max_abs_error=round(max(image.max_abs_error for image in self.images), 6),
            passed=self.passed,
        )

    def shown(self) -> dict[str, Any]:
        """Return every figure as a JSON-able mapping, in the words that people are shown."""
        summary = self.summary()
        return {
            "file": self.candidate,
            "against": self.against,
            "parity_db_mean": summary.psnr_db_mean,
            "parity_db_lowest": summary.psnr_db_min,
            "parity_db_needs": self.threshold.psnr_db,
            "ssim_lowest": summary.ssim_min,
            "ssim_needs": self.threshold.ssim,
            "max_error": summary.max_abs_error,
            "verdict": self.verdict,
            "pictures": [
                {
                    "picture": image.name,
                    "parity_db": image.psnr_db,
                    "ssim": image.ssim,
                    "max_error": image.max_abs_error,
                }
                for image in self.images
            ],
        }

    def record(self) -> ParityRecord:
        """Return every figure."""
        return ParityRecord(
            **asdict(self.summary()),
            threshold=self.threshold,
            failures=self.failures,
            per_image=self.images,
        )


def compare(name: str, reference: Float32, candidate: Float32) -> ImageParity:
    """Compare two outputs for one input.

    Args:
        name: of the picture.
        reference: float32 [N, 3, H, W]; N pictures count as one, their SSIM is the mean.
        candidate: the same shape. NaN or infinity anywhere gets the worst figures there are.

    Raises:
        VerificationError: the shapes differ, or the reference holds NaN or infinity.
    """
    if reference.shape != candidate.shape:
        raise VerificationError(
            f"{name}: output has shape {candidate.shape}, the reference {reference.shape}"
        )
    if not np.isfinite(reference).all():
        raise VerificationError(f"{name}: the reference's output holds NaN or infinity")
    if not np.isfinite(candidate).all():
        return ImageParity(name, psnr_db=0.0, ssim=0.0, max_abs_error=1.0)
    seen, expected = np.clip(candidate, 0.0, 1.0), np.clip(reference, 0.0, 1.0)
    pictures = zip(to_pictures(reference), to_pictures(candidate), strict=True)
    similar = [ssim(*pair) for pair in pictures]
    return ImageParity(
        name=name,
        psnr_db=parity_db(expected, seen),
        ssim=float(np.mean(similar)),
        max_abs_error=max_abs_error(expected, seen),
    )
