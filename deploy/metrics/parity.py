"""Compare what two networks drew of the same picture, and give the verdict on several.

Parity is measured on outputs clipped to [0, 1], what a viewer would see before rounding:

    parity = 10 log10(1 / mean((clip(a) - clip(b))^2)) dB

Networks that give out a map have SQNR for parity, which is not clipped (calib/output_kind.py).

What passes reaches one of two levels, by its worst picture. From 40 dB on, values differ by 2.55 of
255 grey levels in the root mean square, which nobody sees in a photograph; below, they may.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from calib.arrays import Float32
from calib.errors import VerificationError
from calib.images import to_pictures
from calib.output_kind import OutputKind, peak, seen
from deploy.artifacts.parity_record import ImageParity, ParityRecord, ParitySummary, Threshold
from deploy.metrics.decibels import CEILING_DB, rounded_down, with_unit
from deploy.metrics.psnr_ssim import max_abs_error, parity_db, ssim

__all__ = [
    "LEVELS",
    "UNSEEN_DB",
    "ImageParity",
    "Level",
    "ParityResult",
    "at_least",
    "compare",
    "level_of",
    "lowest_level",
]

UNSEEN_DB = 40.0
"""From which parity on two pictures cannot be told apart."""

Level = Literal["not acceptable", "acceptable", "cannot be told apart"]
LEVELS: tuple[Level, ...] = ("not acceptable", "acceptable", "cannot be told apart")


def level_of(summary: ParitySummary) -> Level:
    """Return the level that a model reaches on every picture it was compared on."""
    if not summary.passed:
        return "not acceptable"
    return "cannot be told apart" if summary.psnr_db_min >= UNSEEN_DB else "acceptable"


def lowest_level(summaries: Iterable[ParitySummary]) -> Level:
    """Return the level that every one of some models reaches; the lowest for no model at all."""
    return min(map(level_of, summaries), key=LEVELS.index, default=LEVELS[0])


def at_least(summaries: Iterable[ParitySummary]) -> str:
    """Return in words what parity some models reach on every picture, rounded down."""
    lowest_db = min(summary.psnr_db_min for summary in summaries)
    return ("at least " if lowest_db < CEILING_DB else "") + with_unit(rounded_down(lowest_db))


@dataclass(frozen=True)
class _Figure:
    """How a figure that has a threshold is spelled.

    Attributes:
        name: in records.
        word: in front of its value, for people.
        unit: behind it.
        digits: after the decimal point; what is below a limit is never rounded up to it.
    """

    name: str
    word: str
    unit: str
    digits: int

    def spelled(self, value: float) -> str:
        """Return a value, rounded down."""
        if math.isinf(value):
            return f"no{self.unit}" if self.unit else "none"
        return f"{rounded_down(value, self.digits):.{self.digits}f}{self.unit}"


_FIGURES = (_Figure("psnr_db", "", " dB", 2), _Figure("ssim", "SSIM ", "", 4))


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
        return tuple(
            f"{image.name}: {figure.word}{figure.spelled(found)} against {self.reference}, "
            f"expected at least {needed:g}{figure.unit}"
            for image in self.images
            for figure, found, needed in self._below(image)
        )

    @property
    def shortfall(self) -> str:
        """The worst picture of each figure below its threshold, in words; empty where none is."""
        worst: dict[_Figure, tuple[float, str]] = {}
        for image in self.images:
            for figure, found, needed in self._below(image):
                line = f"{figure.word}{figure.spelled(found)} on {image.name}, needs {needed:g}"
                worst[figure] = min(worst.get(figure, (math.inf, "")), (found, line))
        return " and ".join(line for _, line in worst.values())

    def _below(self, image: ImageParity) -> Iterator[tuple["_Figure", float, float]]:
        """Yield each figure of a picture below its threshold, as found and as needed."""
        for figure in _FIGURES:
            needed = getattr(self.threshold, figure.name)
            found = getattr(image, figure.name)
            found = -math.inf if found is None or math.isnan(found) else found
            if needed is not None and not found >= needed:
                yield figure, found, needed

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
        similarity = [image.ssim for image in self.images if image.ssim is not None]
        return ParitySummary(
            reference=self.reference,
            images=len(self.images),
            psnr_db_mean=round(float(np.mean(psnr)), 4),
            psnr_db_min=round(min(psnr), 4),
            ssim_mean=round(float(np.mean(similarity)), 6) if similarity else None,
            ssim_min=round(min(similarity), 6) if similarity else None,
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


def nearness_db(reference: Float32, candidate: Float32, kind: OutputKind) -> float:
    """Return how near an output comes to the one that is right: parity, or of a map SQNR, in dB.

    Args:
        reference: float32 of any shape.
        candidate: the same shape.
        kind: what the two are.

    Raises:
        VerificationError: the arrays cannot be compared.
    """
    return parity_db(*_measured(reference, candidate, kind))


def _measured(reference: Float32, candidate: Float32, kind: OutputKind) -> tuple[Float32, Float32]:
    """Return what counts of two outputs, in units of the peak."""
    unit = np.float32(peak(reference, kind))
    return seen(reference, kind) / unit, seen(candidate, kind) / unit


def compare(name: str, reference: Float32, candidate: Float32, kind: OutputKind) -> ImageParity:
    """Compare two outputs for one input.

    Args:
        name: of the picture.
        reference: float32 [N, C, H, W]; N pictures count as one, their SSIM is the mean.
        candidate: the same shape. NaN or infinity anywhere gets the worst figures there are.
        kind: what the two are.

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
        worst = 1.0 if kind == "picture" else float(np.abs(reference).max())
        similar = 0.0 if kind == "picture" else None
        return ImageParity(name, psnr_db=0.0, ssim=similar, max_abs_error=worst)
    return ImageParity(
        name=name,
        psnr_db=nearness_db(reference, candidate, kind),
        ssim=_similarity(reference, candidate) if kind == "picture" else None,
        max_abs_error=max_abs_error(seen(reference, kind), seen(candidate, kind)),
    )


def _similarity(reference: Float32, candidate: Float32) -> float:
    """Return the mean SSIM of the pictures that two outputs hold."""
    pictures = zip(to_pictures(reference), to_pictures(candidate), strict=True)
    return float(np.mean([ssim(*pair) for pair in pictures]))
